"""Ends what a supervisor leaves behind when it is killed in a way it can not handle.

Every process of an instance carries `MARKER` in its environment, however deep in the tree of
processes it is and whoever is its parent by now. `python -m winback.server.keeper MARK` waits
until its standard input ends, which the kernel sees to when the supervisor dies.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from winback.server import processes

MARKER = "_WINBACK_INSTANCE"
FAREWELL = b"ended in good order"


def mark(home: Path) -> str:
    """The value of `MARKER` for the processes of this supervisor's instance."""
    return f"{_of_home(home)}{os.getpid()}"


def sweep_home(home: Path) -> bool:
    """Kills all processes of an instance, whoever started them; True when there were any."""
    return _sweep(lambda value: value.startswith(_of_home(home)), patience=0.0)


def sweep(mark: str, patience: float) -> bool:
    """Ends the processes that one supervisor started; True when there were any.

    Args:
        mark: From `mark`.
        patience: Seconds the services have to end by themselves. What they started is killed at
            once, parents first: a task whose own child ended before it would go on, and take
            that for a result.
    """
    return _sweep(lambda value: value == mark, patience)


def _of_home(home: Path) -> str:
    return f"{home}#"


def _sweep(is_ours: Callable[[str], bool], patience: float) -> bool:
    found = _marked(is_ours)
    if not found:
        return False
    for _ in range(5):  # one that was just being started is not yet in the first list
        _end(found, patience)
        found, patience = _marked(is_ours), 0.0
        if not found:
            break
    return True


def _end(found: list[psutil.Process], patience: float) -> None:
    pids = {process.pid for process in found}
    asked = []
    for process in found:
        with suppress(psutil.Error):
            if patience and process.ppid() not in pids:
                asked.append(process)
            else:
                process.kill()
    processes.end(asked, patience)
    psutil.wait_procs(found, timeout=1.0)


def _marked(is_ours: Callable[[str], bool]) -> list[psutil.Process]:
    """The living processes whose `MARKER` passes, oldest first."""
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(MARKER, "")
            alive = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            if alive and is_ours(value):
                found.append((process.create_time(), process.pid, process))
        except (psutil.Error, OSError):
            continue
    return [process for _, _, process in sorted(found, key=lambda entry: entry[:2])]


def main() -> int:
    """Waits for the supervisor's end, and tidies up unless it said farewell."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    if sys.stdin.buffer.read() != FAREWELL:
        sweep(sys.argv[1], patience=0.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
