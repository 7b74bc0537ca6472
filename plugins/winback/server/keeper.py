"""Ends what a supervisor leaves behind when it is killed in a way it can not handle.

Every process of an instance carries the mark of its supervisor, however deep in the tree of
processes it is and whoever is its parent by now. It carries it twice: in its environment, and
as the number that `brand` sets as one of its resource limits. Airflow makes the processes that
run tasks unreadable to other processes of the same user, and with that hides their
environment, but not their limits. Whatever descends from a marked process is ours too.

`python -m winback.server.keeper MARK` waits until its standard input ends, which the kernel
sees to when the supervisor dies.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import psutil

MARKER = "_WINBACK_INSTANCE"
FAREWELL = b"ended in good order"
# limits the CPU time of real-time scheduling, in microseconds: nothing here is scheduled so, and
# a limit of 140,000 years is none. Children inherit it, also those that hide everything else.
_LIMIT = resource.RLIMIT_RTTIME
_PID_BITS = 22  # Linux has no higher process ids
_HOME_BITS = 40
_ROUNDS = 20


def mark(home: Path) -> str:
    """The value of `MARKER` for the processes of this supervisor's instance."""
    return f"{_of_home(home)}{os.getpid()}"


def brand(mark: str) -> Callable[[], None]:
    """What a new process has to do to carry the mark where it can not be hidden."""
    number = _number(mark)
    hard = resource.getrlimit(_LIMIT)[1]  # kept: a winback within this one sets its own number

    def before_exec() -> None:
        with suppress(ValueError, OSError):  # above a limit of the user's: then MARKER must do
            resource.setrlimit(_LIMIT, (number, hard))

    return before_exec


def sweep_home(home: Path) -> bool:
    """Kills all processes of an instance, whoever started them; True when there were any."""
    prefix = _of_home(home)
    same = _number(prefix + "0") >> _PID_BITS
    return _sweep(lambda value: value.startswith(prefix), lambda n: n >> _PID_BITS == same)


def sweep(mark: str, services: Collection[int] = (), patience: float = 0.0) -> bool:
    """Ends the processes that one supervisor started; True when there were any.

    Args:
        mark: From `mark`.
        services: The processes that have `patience` seconds to end by themselves. All others
            are killed at once, parents first: a task whose own child ended before it would go
            on, and take that for a result; and one whose parents are gone already would send
            for as long as it may live.
        patience: See above.
    """
    number = _number(mark)
    return _sweep(lambda value: value == mark, lambda n: n == number, services, patience)


def _of_home(home: Path) -> str:
    return f"{home}#"


def _number(mark: str) -> int:
    """A mark as a resource limit: a bit no real limit has, the home's hash, the process id."""
    home, _, pid = mark.rpartition("#")
    digest = int.from_bytes(hashlib.sha256(os.fsencode(home)).digest()[:8], "big")
    return 1 << 62 | digest % (1 << _HOME_BITS) << _PID_BITS | int(pid)


def _sweep(
    is_our_mark: Callable[[str], bool],
    is_our_number: Callable[[int], bool],
    services: Collection[int] = (),
    patience: float = 0.0,
) -> bool:
    found = _marked(is_our_mark, is_our_number)
    if not found:
        return False
    for _ in range(_ROUNDS):  # one that was just being started is not yet in the first list
        _end(found, services, patience)
        found, patience = _marked(is_our_mark, is_our_number), 0.0
        if not found:
            break
    return True


def _end(found: list[psutil.Process], services: Collection[int], patience: float) -> None:
    asked = []
    # the scheduler comes before its workers: one that knew of no end would replace those it lost
    for process in found:
        with suppress(psutil.Error):
            if patience and process.pid in services:
                process.terminate()
                asked.append(process)
            else:
                process.kill()
    for process in psutil.wait_procs(asked, timeout=patience)[1]:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=1.0)


def _marked(
    is_our_mark: Callable[[str], bool], is_our_number: Callable[[int], bool]
) -> list[psutil.Process]:
    """The living processes with our mark, and what descends from them; oldest first."""
    alive: list[tuple[float, int, psutil.Process]] = []
    parents: dict[int, int] = {}
    ours: set[int] = set()
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            alive.append((process.create_time(), process.pid, process))
            parents[process.pid] = process.ppid()
        except (psutil.Error, OSError):
            continue
        if is_our_number(_limit_of(process.pid)) or is_our_mark(_marker_of(process)):
            ours.add(process.pid)
    alive.sort(key=lambda entry: entry[:2])
    for _, pid, _ in alive:
        if parents[pid] in ours:
            ours.add(pid)
    return [process for _, pid, process in alive if pid in ours and pid != os.getpid()]


def _limit_of(pid: int) -> int:
    try:
        return resource.prlimit(pid, _LIMIT)[0]
    except (OSError, ValueError):  # it has ended, or is another user's
        return 0


def _marker_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARKER, ""))
    except (psutil.Error, OSError):
        return ""


def main() -> int:
    """Waits for the supervisor's end, and tidies up unless it said farewell."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    if sys.stdin.buffer.read() != FAREWELL:
        sweep(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
