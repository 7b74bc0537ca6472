"""Workers killed by SIGKILL at every step, and at random: at most once per key, nothing lost."""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.planned import Planned, wait_until, worker
from tests.mail_flow import configure, send
from winback.record.events import record

BATCH = 2
# step: what the batch at hand is called in the ledger, whether the provider has it, and whether the
# kill leaves it unknown
STEPS = {
    "before_claim": ("planned", False, False),
    "after_claim": ("claimed", False, False),
    "before_dispatch_commit": ("claimed", False, False),
    "after_dispatch_commit": ("dispatching", False, True),
    "during_request": ("dispatching", False, True),
    "after_response": ("dispatching", True, True),
    "before_outcome_commit": ("dispatching", True, True),
    "after_outcome_commit": ("accepted", True, False),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_a_step(
    flow: Planned, monkeypatch: pytest.MonkeyPatch, step: str, n_strikes: int
) -> None:
    state, is_taken, is_unknown = STEPS[step]
    configure(flow, monkeypatch, send_batch_size=BATCH)
    # enough for each worker to get two batches through before the one that it is killed in
    n = BATCH * 3 * n_strikes + 10
    flow.plan(n)
    taken = flow.sandbox.counts()["accepted"]
    n_unknown = 0
    for strike in range(n_strikes):
        hit = strike % 3 + 1
        with worker(flow, f"--stop-at={step}", f"--hit={hit}") as victim:
            victim.wait_until_it_stops()
            n_through = BATCH * (hit - 1)
            at_hand = flow.states()
            now = flow.sandbox.counts()["accepted"]
            assert now == taken + n_through + (BATCH if is_taken else 0)
            assert at_hand[state] >= BATCH
            in_flight = at_hand["claimed"] + at_hand["dispatching"]
            assert in_flight == (BATCH if state in ("claimed", "dispatching") else 0)
            victim.kill()
        # what it had not committed is gone with it
        wait_until(lambda before=at_hand: flow.states() == before)
        taken = now
        n_unknown += BATCH if is_unknown else 0
        flow.end_leases()
    left = n - flow.states()["accepted"] - n_unknown
    assert left > 0
    configure(flow, monkeypatch, send_batch_size=1000)
    assert send(flow)["accepted"] == left
    expected = {"accepted": n - n_unknown, "unknown": n_unknown}
    assert flow.states() == {state: count for state, count in expected.items() if count}
    flow.check_nothing_is_lost_or_doubled(n)
    # never again by itself, and the provider's events tell what became of it
    assert send(flow) == {}
    flow.sandbox.wait_for_events()
    record()
    expected = {"delivered": n, "unknown": 0}
    if is_unknown and not is_taken:
        expected = {"delivered": n - n_unknown, "unknown": n_unknown}
    assert flow.states() == {state: count for state, count in expected.items() if count}
    assert flow.sandbox.counts()["accepted"] - taken == left
    flow.check_nothing_is_lost_or_doubled(n)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["hang", "hang_after_accept"])
def test_a_worker_killed_while_it_waits_for_an_answer(
    flow: Planned, monkeypatch: pytest.MonkeyPatch, mode: str, n_strikes: int
) -> None:
    configure(flow, monkeypatch, send_batch_size=BATCH)
    n = BATCH * n_strikes + 3
    flow.plan(n)
    before = flow.sandbox.counts()
    for strike in range(n_strikes):
        flow.sandbox.fault(mode, seconds=600)
        with worker(flow) as victim:
            met = before["faults_met"] + strike + 1
            wait_until(lambda met=met: flow.sandbox.counts()["faults_met"] == met)
            assert flow.states()["dispatching"] == BATCH
            victim.kill()
        assert flow.states()["dispatching"] == BATCH
        # as long as it might live, nobody touches what it was sending
        assert flow.states()["unknown"] == BATCH * strike
        flow.end_leases()
    configure(flow, monkeypatch, send_batch_size=1000)
    assert send(flow)["accepted"] == 3
    assert flow.states() == {"unknown": n - 3, "accepted": 3}
    flow.sandbox.wait_for_events()
    record()
    n_lost = n - 3 if mode == "hang" else 0
    assert flow.states()["unknown"] == n_lost
    assert flow.sandbox.counts()["accepted"] - before["accepted"] == n - n_lost
    flow.check_nothing_is_lost_or_doubled(n)


@pytest.mark.timeout(1800)
def test_workers_killed_at_random_times(
    flow: Planned, monkeypatch: pytest.MonkeyPatch, n_strikes: int
) -> None:
    chance = Random(17)  # noqa: S311 - a moment, no secret
    configure(flow, monkeypatch, send_batch_size=1)
    n = 200 * n_strikes
    flow.plan(n)
    before = flow.sandbox.counts()["accepted"]
    for _ in range(n_strikes):
        with worker(flow, "--stop-at=before_claim") as victim:
            # from here on, since how long a start takes would blur the moments
            victim.wait_until_it_stops()
            n_sent = flow.sandbox.counts()["accepted"]
            victim.go_on()
            wait_until(lambda n_sent=n_sent: flow.sandbox.counts()["accepted"] > n_sent)
            with pytest.raises(Exception, match="timed out"):
                victim.process.wait(chance.uniform(0.0, 0.5))
            victim.kill()
        states = flow.states()
        assert states["planned"] + states["claimed"] > 0, "it was through before it was killed"
        flow.end_leases()
    configure(flow, monkeypatch, send_batch_size=1000)
    send(flow)
    states = flow.states()
    assert states["accepted"] + states["unknown"] == n
    assert states["unknown"] <= n_strikes
    flow.sandbox.wait_for_events()
    record()
    n_taken = flow.sandbox.counts()["accepted"] - before
    assert flow.states()["delivered"] == n_taken
    assert flow.states()["unknown"] == n - n_taken
    flow.check_nothing_is_lost_or_doubled(n)
