"""The processes of one instance while it runs: started, watched and ended together."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from winback.errors import ServerError
from winback.server import keeper, processes

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_PATIENCE_SECONDS = 2.0
_LOG_BYTES = 20_000_000
_ERROR = re.compile(r"error|exception|fatal|panic|critical", re.IGNORECASE)


@dataclass
class Service:
    """A process that has to live as long as the instance."""

    process: subprocess.Popen[bytes]
    log: Path
    log_offset: int

    def last_words(self) -> str:
        """How it ended and what it wrote last, or last about an error; one line."""
        code = self.process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            written = log.read()[-20_000:].decode(errors="replace").splitlines()
        lines = [line.strip() for line in written if line.strip()]
        errors = [line for line in lines if _ERROR.search(line)]
        said = (errors or lines or ["it wrote nothing"])[-1]
        return f"({how}): {said[:300]} (log: {self.log})"


@dataclass
class Services:
    """What runs now, by name; see `watched`."""

    environment: Mapping[str, str]
    logs: Path
    running: dict[str, Service] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """Starts `python <arguments>` as a service."""
        self.running[name] = self.begin(name, *arguments)

    def add(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        """Watches a process that is running already."""
        self.running[name] = Service(process, log, 0)

    def begin(self, name: str, *arguments: str) -> Service:
        """Starts `python <arguments>` as an errand that ends by itself; see `finish`."""
        log = self.logs / f"{name}.log"
        _keep_short(log)
        offset = log.stat().st_size if log.exists() else 0
        process = processes.popen(
            [sys.executable, *arguments],
            log,
            on_parent_death=signal.SIGKILL,
            before_exec=keeper.brand(self.environment[keeper.MARKER]),
            env=dict(self.environment),
            cwd="/",
        )
        return Service(process, log, offset)

    def finish(self, name: str, errand: Service) -> None:
        """Waits for an errand.

        Raises:
            ServerError: It failed; the message holds what it wrote last.
        """
        if errand.process.wait() != 0:
            raise ServerError(f"the step {name} failed {errand.last_words()}")

    def check(self) -> None:
        """Raises a `ServerError` when a service has ended."""
        for name, service in self.running.items():
            if service.process.poll() is not None:
                raise ServerError(f"{name} ended unexpectedly {service.last_words()}")

    def pids(self) -> dict[str, int]:
        """The process id of every service."""
        return {name: service.process.pid for name, service in self.running.items()}


@contextmanager
def watched(home: Path, environment: Mapping[str, str], logs: Path) -> Iterator[Services]:
    """A place to start services in; when the block ends, however it does, so do they.

    Inside, a service that ends raises a `ServerError` in the main thread, wherever that is, and
    the signals that ask a process to end raise `SystemExit`. Only the main thread may call this.

    Args:
        home: The instance's folder, which marks its processes.
        environment: Of every service.
        logs: Folder of their logs.
    """
    mark = keeper.mark(home)
    services = Services({**environment, keeper.MARKER: mark}, logs)
    guard = _start_keeper(mark, services.environment, logs)

    def child_ended(_signum: int, _frame: FrameType | None) -> None:
        services.check()

    def asked_to_end(signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    before = {
        signum: signal.getsignal(signum) for signum in (*_ENDING, signal.SIGCHLD, signal.SIGINT)
    }
    try:
        for signum in _ENDING:
            signal.signal(signum, asked_to_end)
        signal.signal(signal.SIGCHLD, child_ended)
        yield services
    finally:
        for signum in before:  # a second Ctrl-C must not leave half of them behind
            signal.signal(signum, _go_on)
        keeper.sweep(mark, services.pids().values(), _PATIENCE_SECONDS)
        _stop_rest(services)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            guard.communicate(keeper.FAREWELL, timeout=5)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _keep_short(log: Path) -> None:
    """Puts a long log aside; the one before it goes."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def _go_on(_signum: int, _frame: FrameType | None) -> None:
    pass


def _start_keeper(mark: str, environment: Mapping[str, str], logs: Path) -> subprocess.Popen[bytes]:
    unmarked = {name: value for name, value in environment.items() if name != keeper.MARKER}
    with (logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "winback.server.keeper", mark],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=unmarked,
            cwd="/",
            start_new_session=True,
        )


def _stop_rest(services: Services) -> None:
    """Reaps what was swept, and ends services that carry no mark: PostgreSQL, last."""
    for service in reversed(services.running.values()):
        for signum, seconds in (
            (signal.SIGINT, 10.0),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            if service.process.poll() is not None:
                break
            os.kill(service.process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.process.wait(seconds)
