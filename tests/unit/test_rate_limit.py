"""How long a run waits for rate limits, all of its connections together."""

from __future__ import annotations

import threading
import time

from winback.outreach.rate_limit import LONGEST_WAIT_SECONDS, RateLimit


def test_without_a_limit_nobody_waits() -> None:
    limit, end = RateLimit(), threading.Event()
    assert not limit.holds()
    assert limit.wait(end)
    end.set()
    assert not limit.wait(end)


def test_a_limit_is_waited_for() -> None:
    limit, began = RateLimit(), time.monotonic()
    limit.note(0.3)
    assert limit.holds()
    assert limit.wait(threading.Event())
    assert time.monotonic() - began >= 0.3
    assert not limit.holds()


def test_what_several_meet_at_once_counts_once() -> None:
    limit = RateLimit()
    for seconds in (60.0, 10.0, 60.0, 60.0):
        limit.note(seconds)
    assert 60 <= limit.n_waited < 61


def test_limits_that_are_too_long_together_end_the_run() -> None:
    limit = RateLimit()
    limit.note(LONGEST_WAIT_SECONDS - 0.05)
    limit.not_before = 0.0
    limit.note(0.1)
    time.sleep(0.2)
    # also for whoever comes when the last of them is over
    assert limit.holds()
    assert not limit.wait(threading.Event())


def test_a_reset_that_never_comes_ends_the_run_however_often_it_is_told() -> None:
    limit = RateLimit()
    for _ in range(2):
        limit.note(float("inf"))
        assert not limit.wait(threading.Event())


def test_whoever_ends_the_run_ends_the_waiting() -> None:
    limit, end = RateLimit(), threading.Event()
    limit.note(60)
    threading.Timer(0.1, end.set).start()
    assert not limit.wait(end)
