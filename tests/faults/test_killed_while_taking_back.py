"""Workers killed by SIGKILL while they take back what waits at the provider."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from tests.faults.planned import Planned, wait_until, worker
from tests.mail_flow import configure, send
from tests.night import let_time_pass_until, quiet_now, set_clock
from winback.outreach.taking_back import look_again
from winback.record.events import record

BATCH = 2
# step: whether it is on record that the batch was asked for, and whether the provider cancelled it
STEPS = {
    "before_ask_commit": (False, False),
    "after_ask_commit": (True, False),
    "after_cancel_answer": (True, True),
    "before_freed_commit": (True, True),
}


@pytest.fixture
def night(flow: Planned, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planned]:
    set_clock(flow, 0)
    configure(flow, monkeypatch, replay=False, quiet_hours=quiet_now(), send_batch_size=BATCH)
    yield flow
    set_clock(flow, 100 * 3600)
    flow.sandbox.wait_for_events()
    set_clock(flow, 0)


def n_told(flow: Planned) -> int:
    """How many of our batches the provider was told to cancel."""
    answer = httpx.get(
        f"{flow.sandbox.url}/v3/user/scheduled_sends",
        headers={"Authorization": f"Bearer {flow.sandbox.api_key}"},
        trust_env=False,
    )
    rows = flow.warehouse.execute("select batch_id from ops.scheduled_batch")
    return len({each["batch_id"] for each in answer.json()} & {batch_id for (batch_id,) in rows})


def somebody_buys(flow: Planned) -> None:
    """One batch has to be taken back."""
    flow.warehouse.execute(
        "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
        " snapshot_id) select 'late', customer_key, now() - interval '1 minute', 1, 'EUR', 1"
        " from ops.outreach order by message_id limit 1"
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_while_it_takes_back(night: Planned, step: str, n_strikes: int) -> None:
    is_asked, is_cancelled = STEPS[step]
    for strike in range(n_strikes):
        n = 4 * BATCH
        night.plan(n)
        before = night.sandbox.counts()
        assert send(night)["accepted"] == n
        somebody_buys(night)
        with worker(night, "--take-back", f"--stop-at={step}") as victim:
            victim.wait_until_it_stops()
            victim.kill()
        # it had told nobody that it was done, so nothing has moved
        wait_until(lambda n=n: night.states() == {"accepted": n})
        [(asked,)] = night.warehouse.execute(
            "select count(cancel_asked_at) from ops.scheduled_batch"
        )
        assert (asked, n_told(night)) == (int(is_asked), int(is_cancelled)), strike
        # the next run asks again, and the provider says the same
        assert look_again() == {"cancelled": 1, "planned": BATCH - 1}
        assert n_told(night) == 1
        assert send(night)["accepted"] == BATCH - 1
        assert look_again() == {}
        night.check_nothing_is_lost_or_doubled(n)
        set_clock(night, 4 * 3600)
        night.sandbox.wait_for_events()
        set_clock(night, 0)
        record()
        assert night.states() == {"cancelled": 1, "delivered": n - 1}
        after = night.sandbox.counts()
        assert after["accepted"] - before["accepted"] == n + BATCH - 1
        night.check_nothing_is_lost_or_doubled(n)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("step", "states"),
    [
        ("after_question_commit", {"accepted": 4 * BATCH}),
        ("after_cancel_answer", {"accepted": 3 * BATCH, "unknown": BATCH}),
    ],
)
def test_a_worker_killed_while_it_takes_back_and_nobody_in_time_to_ask_again(
    night: Planned, step: str, states: dict[str, int], n_strikes: int
) -> None:
    for _ in range(n_strikes):
        n = 4 * BATCH
        night.plan(n)
        send(night)
        somebody_buys(night)
        with worker(night, "--take-back", f"--stop-at={step}") as victim:
            victim.wait_until_it_stops()
            victim.kill()
        wait_until(lambda n=n: night.states() == {"accepted": n})
        let_time_pass_until(night, timedelta(minutes=5))
        assert look_again() == {}
        assert night.states() == states
        let_time_pass_until(night, timedelta(0))
        night.sandbox.wait_for_events()
        set_clock(night, 0)
        record()
        # the provider kept its word; of those it cancelled no event ever tells
        told = {"delivered": states["accepted"], "unknown": states.get("unknown", 0)}
        assert night.states() == {state: n for state, n in told.items() if n}
        night.check_nothing_is_lost_or_doubled(n)
