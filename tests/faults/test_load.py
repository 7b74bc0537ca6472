"""Four workers, one of them killed every moment and replaced: nobody doubled, nobody lost."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from random import Random

import pytest

from tests.faults.planned import Planned, Worker, worker
from tests.mail_flow import configure, send
from winback.record.events import record

N_WORKERS = 4
N_CONNECTIONS = 2


@pytest.mark.timeout(3900)
def test_many_messages_while_workers_die(
    flow: Planned,
    monkeypatch: pytest.MonkeyPatch,
    is_long: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    n, batch, pause, n_seconds = (100_000, 200, 2.0, 3000) if is_long else (2_000, 50, 0.4, 240)
    chance = Random(4)  # noqa: S311 - whom it strikes, no secret
    # a claim of a killed worker is free after two seconds, its request unknown after seven
    configure(
        flow,
        monkeypatch,
        send_batch_size=batch,
        send_connections=N_CONNECTIONS,
        send_lease_seconds=2,
        send_timeout_seconds=5,
    )
    flow.plan(n, n_languages=2)
    before = flow.sandbox.counts()["accepted"]
    n_killed = 0
    began = time.monotonic()
    with ExitStack() as stack:

        def start() -> Worker:
            return stack.enter_context(worker(flow))

        workers = [start() for _ in range(N_WORKERS)]
        strike_at = began + pause
        n_open = n
        while n_now := open_messages(flow):
            assert time.monotonic() < began + n_seconds, f"{n_now} of {n} are open still"
            for place, each in enumerate(workers):
                if each.process.poll() is not None:
                    # all that it could get was claimed by others, or a request got no answer
                    workers[place] = start()
            # where a worker takes long to start, those that send would all be killed before they
            # had: each strike waits until something was sent since the one before
            if time.monotonic() > strike_at and n_now < n_open:
                victim = workers[chance.randrange(N_WORKERS)]
                if victim.process.poll() is None:
                    victim.kill()
                    n_killed += 1
                strike_at, n_open = time.monotonic() + pause, n_now
            time.sleep(0.05)
        seconds = time.monotonic() - began
        for each in workers:
            each.end()
    assert n_killed >= 2
    flow.end_leases()
    send(flow)
    states = flow.states()
    assert states["accepted"] + states["unknown"] + states["delivered"] == n
    flow.check_nothing_is_lost_or_doubled(n)
    # the requests under way are the most that a kill makes unknown, one for each connection
    assert states["unknown"] <= n_killed * batch * N_CONNECTIONS
    flow.sandbox.wait_for_events(600)
    record()
    n_taken = flow.sandbox.counts()["accepted"] - before
    assert flow.states()["delivered"] == n_taken
    assert flow.states()["unknown"] == n - n_taken
    flow.check_nothing_is_lost_or_doubled(n)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{n:,} messages, {N_WORKERS} workers, {n_killed} killed: {seconds:.1f} s,"
            f" {n / seconds:,.0f} a second; {states['unknown']:,} unknown,"
            f" {n - n_taken:,} of them never taken\n"
        )


def open_messages(flow: Planned) -> int:
    """How many nobody has decided about yet; a dead worker's request is seen to by the others."""
    states = flow.states()
    return states["planned"] + states["claimed"]
