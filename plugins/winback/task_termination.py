"""How a task ends that Airflow terminates while it sends: by itself, with all it did on record."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_by_termination() -> Iterator[None]:
    """Lets whoever terminates the task end the block as ctrl-c does.

    Airflow's own handler calls `on_kill`, which a function has not, and five seconds later the
    process is killed in the midst of requests that become unknown for no reason.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
