"""A MariaDB server for tests, with its own data folder; it ends with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from winback.server.processes import die_with_parent, free_port, unprivileged_account

PROGRAMS = ("mariadbd", "mariadb-install-db", "mariadb")
READER, PASSWORD = "reader", "p@ss:word/1"


def program(name: str) -> str:
    """Where a program lies, also where only root has it on the path."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"no {name} on this machine: install Debian's package mariadb-server")
    return found


@dataclass
class MariaDB:
    """A running server; `reader` may read the database `shop`."""

    process: subprocess.Popen[bytes]
    port: int
    socket: Path

    def execute(self, statements: str, database: str = "shop") -> str:
        """Runs statements as root and gives what they print, one row a line."""
        command = [program("mariadb"), "--no-defaults", f"--socket={self.socket}", "--user=root"]
        command += ["--default-character-set=utf8mb4", "--skip-column-names", database]
        done = subprocess.run(
            command, input=statements.encode(), capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


def start(folder: Path) -> MariaDB:
    """Starts a server in a folder that any user may enter; as `nobody` where we are root."""
    programs = [program(name) for name in PROGRAMS]
    account = unprivileged_account()
    drop: dict[str, Any] = account.popen_arguments() if account else {}
    data, log, socket = folder / "data", folder / "log", folder / "socket"
    data.mkdir()
    if account:
        for path in (folder, data):
            os.chown(path, account.uid, account.gid)
    install = [programs[1], "--no-defaults", f"--datadir={data}", "--skip-test-db"]
    install += ["--auth-root-authentication-method=normal"]
    made = subprocess.run(install, capture_output=True, check=False, timeout=120, **drop)
    assert made.returncode == 0, made.stdout.decode() + made.stderr.decode()
    port = free_port()
    command = [programs[0], "--no-defaults", f"--datadir={data}", f"--socket={socket}"]
    command += ["--bind-address=127.0.0.1", f"--port={port}", f"--pid-file={folder}/pid"]
    command += ["--innodb-flush-log-at-trx-commit=0", "--default-time-zone=+05:30"]
    process = subprocess.Popen(
        command,
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - as our servers do
        **drop,
    )
    server = MariaDB(process, port, socket)
    deadline = time.monotonic() + 60
    while f"port: {port}" not in log.read_text():
        alive = process.poll() is None and time.monotonic() < deadline
        assert alive, log.read_text()
        time.sleep(0.05)
    server.execute(
        "create database shop character set utf8mb4;"
        f"create user {READER}@'127.0.0.1' identified by '{PASSWORD}';"
        f"create user {READER}@localhost identified by '{PASSWORD}';"
        f"grant select on shop.* to {READER}@'127.0.0.1', {READER}@localhost;",
        database="mysql",
    )
    return server
