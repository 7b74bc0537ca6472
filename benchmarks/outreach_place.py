"""Where `./winback bench outreach` measures: a database server, the mail sandbox, child processes.

Everything listens on 127.0.0.1, is started here and ends here. What is measured stands in
`outreach.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import psycopg
from psycopg import sql

from winback.sandbox.signing import new_private_key
from winback.server import postgres_server, processes
from winback.settings import PROJECT
from winback.warehouse import setup

API_KEY = "SG.measured"
START_SECONDS = 60.0
# no events while sending is measured: their cost is the webhook's, measured by itself
NO_EVENTS_SECONDS = 86_400


@dataclass(frozen=True)
class Server:
    """A process that answers HTTP on this machine."""

    url: str
    process: psutil.Process
    data: Path

    def cpu_seconds(self) -> float:
        """Time that it has computed so far, on any core."""
        times = self.process.cpu_times()
        return times.user + times.system


@dataclass(frozen=True)
class Place:
    """A folder and a database server, gone after the measurement."""

    folder: Path
    postgres: postgres_server.PostgresServer

    def url(self, database: str) -> str:
        """The address of a database, as its owner."""
        return self.postgres.url(database)

    def prepare(self, database: str) -> str:
        """Makes an empty warehouse; gives its address."""
        self.execute("create database {}", database)
        setup.prepare(self.url(database))
        return self.url(database)

    def clone(self, template: str, database: str) -> None:
        """Makes a database anew, as a copy of another that nobody is connected to."""
        self.drop(database)
        self.execute("create database {} template {}", database, template)

    def drop(self, database: str) -> None:
        """Drops a database if it is there."""
        self.execute("drop database if exists {} with (force)", database)

    def execute(self, statement: str, *names: str) -> None:
        """Runs a statement about databases."""
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            identifiers = map(sql.Identifier, names)
            connection.execute(sql.SQL(statement).format(*identifiers))  # type: ignore[arg-type]


@contextmanager
def place() -> Iterator[Place]:
    """Starts the database server as the demo does, writing through to the disk."""
    with TemporaryDirectory(prefix="winback-bench-") as folder:
        server = postgres_server.start(Path(folder) / "cluster", port=0)
        try:
            yield Place(Path(folder), server)
        finally:
            server.remove()


@contextmanager
def sandbox(folder: Path, webhook_url: str = "http://127.0.0.1:9/") -> Iterator[Server]:
    """Runs an empty sandbox that takes everything and tells nothing."""
    folder.mkdir()
    (folder / "key.pem").write_bytes(new_private_key())
    (folder / "api_key").write_text(API_KEY, encoding="ascii")
    port = processes.free_port()
    command = [
        sys.executable, "-m", "winback.sandbox", f"--port={port}", f"--data={folder}",
        f"--private-key={folder}/key.pem", f"--api-key-file={folder}/api_key",
        f"--webhook-url={webhook_url}", f"--event-delay-seconds={NO_EVENTS_SECONDS}",
    ]  # fmt: skip
    with serve(command, port, "/health", folder) as server:
        yield server


@contextmanager
def serve(
    command: list[str],
    port: int,
    path: str,
    folder: Path,
    environment: dict[str, str] | None = None,
) -> Iterator[Server]:
    """Runs a web server until the block ends.

    Args:
        command: Its command line.
        port: Where it listens.
        path: Answers below 500 once it is up.
        folder: Where it keeps its log.
        environment: Beside that of this process.
    """
    log = folder / "log"
    child = processes.popen(
        command,
        log,
        on_parent_death=signal.SIGKILL,
        cwd=PROJECT,
        env=_environment(environment or {}),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{url}{path}"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start: {processes.last_lines(log)}")
            time.sleep(0.05)
        yield Server(url, psutil.Process(child.pid), folder)
    finally:
        child.terminate()
        child.wait(30)


def run(module: str, *arguments: str, environment: dict[str, str]) -> dict[str, float]:
    """Runs a module in a process of its own; gives what it tells in its last line, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env=_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


def _environment(own: dict[str, str]) -> dict[str, str]:
    # settings of the user's own would measure something else
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WINBACK_")}
    return kept | {"PYTHONPATH": f"{PROJECT / 'plugins'}:{PROJECT}"} | own
