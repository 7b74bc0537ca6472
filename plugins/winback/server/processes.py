"""Starting and ending operating-system processes so that none is ever left behind.

Only what every server needs: dying with the parent, waiting for an end, ending a whole tree.
Which processes make up an installation is the supervisor's business.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """The unprivileged user that a server runs as when winback itself runs as root."""

    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `subprocess` that start a process as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def unprivileged_account() -> Account | None:
    """The account to drop to: `nobody` when running as root, None for any other user."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def die_with_parent(signum: int) -> Callable[[], None]:
    """Makes a `preexec_fn`: the kernel sends `signum` to the child when its parent has died.

    The parent's *thread* counts, so start such children from a thread that lives on.
    """
    parent = os.getpid()

    def before_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:  # the parent was gone before the kernel knew of our wish
            os.kill(os.getpid(), signal.SIGKILL)

    return before_exec


def started_at(pid: int) -> float | None:
    """When process `pid` started (seconds since the epoch); None when there is no such process."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def is_alive(pid: int, start_time: float) -> bool:
    """Whether `pid` is still the process that started at `start_time`, not a later one."""
    now = started_at(pid)
    return now is not None and abs(now - start_time) < 1.0


def end(processes: Iterable[psutil.Process], patience: float = 5.0) -> None:
    """Asks processes to end, waits `patience` seconds in all, then kills what is left."""
    alive = list(processes)
    for process in alive:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=patience)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=2.0)


def wait_until_gone(pid: int, start_time: float, timeout: float) -> bool:
    """Waits for a process that need not be our child; False when it outlives `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while is_alive(pid, start_time):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_port(preferred: int = 0, avoid: Iterable[int] = ()) -> int:
    """A port of 127.0.0.1 nobody listens on: `preferred` when it is free, else any other."""
    taken = set(avoid)
    candidates = [preferred] if preferred and preferred not in taken else []
    for port in [*candidates, *[0] * 20]:
        with socket.socket() as probe:
            # connections that linger in TIME_WAIT must not make the port look taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found: int = probe.getsockname()[1]
                if found not in taken:
                    return found
    raise OSError("no free port on 127.0.0.1")


def reserve(port: int) -> socket.socket | None:
    """Claims a port for a service that will listen on it; None when another winback has.

    A free port is not enough while two instances start at once. The claim is a name in Linux's
    abstract socket namespace, which is as wide as that of ports and needs no file; it ends with
    the socket that is returned, or with this process.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0winback-port-{port}")
    except OSError:
        claim.close()
        return None
    return claim


def last_lines(path: Path, count: int = 5) -> str:
    """The end of a log file, for an error message; empty when there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines[-count:] if line.strip())


def popen(
    command: list[str],
    log: Path,
    *,
    on_parent_death: int,
    before_exec: Callable[[], None] = lambda: None,
    **options: object,
) -> subprocess.Popen[bytes]:
    """Starts a server in a session of its own, with its output appended to `log`.

    Args:
        command: Its command line.
        log: Takes its output.
        on_parent_death: The signal it is sent when we have died.
        before_exec: What else the new process does first; system calls only.
        **options: For `subprocess.Popen`.
    """
    die = die_with_parent(on_parent_death)

    def prepare() -> None:
        die()
        before_exec()

    with log.open("ab") as output:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 - system calls only
            **options,
        )
