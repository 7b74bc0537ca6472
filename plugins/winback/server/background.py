"""Runs the production instance in the background, and ends whichever instance runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from winback.errors import ServerError
from winback.server import instance, processes
from winback.server.instance import Instance, RunningState
from winback.server.supervisor import clear_leftovers_of, running_instance

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0


def run_in_foreground(progress: Callable[[str], None]) -> None:
    """Runs the production instance until a signal or a failure ends it."""
    with running_instance("production", progress=progress) as running:
        progress(f"running at {running.urls['airflow']}")
        running.wait_for_end()


def start(progress: Callable[[str], None]) -> RunningState:
    """Starts the production instance in a process of its own and waits until it is ready.

    Args:
        progress: Takes a line for every step.

    Raises:
        ServerError: It did not start; the message is its own.
    """
    with instance.only_one():
        pass  # says now, not from the background, that one runs already
    log = instance.instance("production").logs / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        offset = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "winback", "up", "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _wait_until_ready(process, lambda: _new_lines(log, offset), progress)
    except BaseException:
        if process.poll() is None:
            process.terminate()
            process.wait(_STOP_SECONDS)
        raise


def stop() -> RunningState | None:
    """Ends the running instance and waits for its end; None when none runs.

    Raises:
        ServerError: It does not end.
    """
    found = instance.running()
    if found is None:
        return None
    _, state = found
    with suppress(ProcessLookupError):
        os.kill(state.pid, signal.SIGTERM)
    if not processes.wait_until_gone(state.pid, state.started, _STOP_SECONDS):
        raise ServerError(
            f"process {state.pid} does not end: kill -9 {state.pid}, its services follow it"
        )
    return state


def clear_leftovers() -> list[Instance]:
    """Ends what a killed supervisor left behind, and names the instances that had any."""
    with instance.only_one():
        both = [instance.instance("production"), instance.instance("demo")]
        return [one for one in both if clear_leftovers_of(one)]


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    new_lines: Callable[[], list[str]],
    progress: Callable[[str], None],
) -> RunningState:
    deadline = time.monotonic() + _START_SECONDS
    shown = 0
    while time.monotonic() < deadline:
        lines = new_lines()
        for line in lines[shown:]:
            progress(line)
        shown = len(lines)
        if process.poll() is not None:
            lines = new_lines()
            if process.returncode == 128 + signal.SIGTERM:
                raise ServerError("it was stopped while it was starting: run ./winback up again")
            raise ServerError(lines[-1] if lines else "it ended at once: see ./winback logs")
        found = instance.running()
        if found and found[1].pid == process.pid and found[1].ready:
            return found[1]
        time.sleep(0.1)
    raise ServerError(f"winback was not ready within {_START_SECONDS:.0f} s: see ./winback logs")


def _new_lines(log: Path, offset: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(offset)
        return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
