"""A process that sends, and that stops at a chosen step for as long as it is told.

The product is untouched: functions are wrapped here, in the child. At the step the child says
`reached` on its standard output and waits for a line on its standard input; what the test does to
it meanwhile (SIGKILL, SIGSTOP, killing its database) is the test's affair.
"""

from __future__ import annotations

import argparse
import http.client
import logging
import sys
import time
from collections.abc import Callable
from datetime import date, datetime, tzinfo
from typing import Any

from winback.outreach import (
    dispatch,
    lane,
    last_check,
    ledger,
    lost_answers,
    scheduled_batches,
    sendgrid_schedule,
    taking_back,
)
from winback.outreach.sendgrid_transport import SendGridTransport

# step: whose function, which, and whether it is met before or after that function's work
STEPS: dict[str, tuple[Any, str, str]] = {
    "before_claim": (ledger, "claim", "before"),
    "after_claim": (lane.Lane, "_send", "before"),
    "after_check": (last_check, "check", "after"),
    "before_dispatch_commit": (lane, "body_of", "after"),
    "after_dispatch_commit": (SendGridTransport, "send", "before"),
    "during_request": (http.client.HTTPConnection, "send", "halfway"),
    "after_response": (SendGridTransport, "send", "after"),
    "before_outcome_commit": (ledger, "accepted", "after"),
    "after_outcome_commit": (lane.Lane, "_stop_if_needed", "before"),
    "before_ask_commit": (scheduled_batches, "ask_for_campaigns_that_rest", "after"),
    "after_ask_commit": (lost_answers, "note_question", "before"),
    "after_question_commit": (sendgrid_schedule, "cancel", "before"),
    "after_cancel_answer": (sendgrid_schedule, "cancel", "after"),
    "before_freed_commit": (scheduled_batches, "take_back", "after"),
}


def reached() -> None:
    """Tells the test, and waits for it."""
    sys.stdout.write("reached\n")
    sys.stdout.flush()
    sys.stdin.readline()


def stop_at(step: str, hit: int) -> None:
    """Wraps the function of a step, so that its `hit`-th call stops there."""
    owner, name, when = STEPS[step]
    wrapped: Callable[..., Any] = getattr(owner, name)
    n_calls = 0

    def is_it() -> bool:
        nonlocal n_calls
        n_calls += 1
        return n_calls == hit

    def stopping(*arguments: Any, **options: Any) -> Any:
        if when == "before" and is_it():
            reached()
        result = wrapped(*arguments, **options)
        if when == "after" and is_it():
            reached()
        return result

    def sending(connection: http.client.HTTPConnection, data: Any) -> None:
        # the headers go first, by themselves
        if isinstance(data, bytes) and data.startswith(b"{") and is_it():
            wrapped(connection, data[: len(data) // 2])
            reached()
            wrapped(connection, data[len(data) // 2 :])
        else:
            wrapped(connection, data)

    setattr(owner, name, sending if when == "halfway" else stopping)


def shift_clock(seconds: float) -> None:
    """Lets this process believe in another time of day, whichever way it asks."""
    right = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(right() + seconds, tz)

    time.time = lambda: right() + seconds
    for module in list(sys.modules.values()):
        if module.__name__.startswith("winback.") and hasattr(module, "datetime"):
            module.datetime = Shifted  # type: ignore[attr-defined]


class Full(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes where there is no room, and does not keep quiet about it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        _, error, _ = sys.exc_info()
        assert error is not None
        raise error


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--snapshot", type=int, required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument("--stop-at", choices=STEPS)
    parser.add_argument("--hit", type=int, default=1)
    parser.add_argument("--clock", type=float, default=0.0)
    parser.add_argument("--full-log", action="store_true")
    parser.add_argument("--take-back", action="store_true", help="do not send, but take back")
    given = parser.parse_args()
    if given.stop_at:
        stop_at(given.stop_at, given.hit)
    if given.clock:
        shift_clock(given.clock)
    if given.full_log:
        handler = Full(open("/dev/full", "w"))  # noqa: PTH123, SIM115 - full from the first byte on
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    if given.take_back:
        taking_back.look_again()
    else:
        dispatch.outreach(given.snapshot, given.as_of)


if __name__ == "__main__":
    main()
