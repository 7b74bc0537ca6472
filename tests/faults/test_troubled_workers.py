"""Workers that stand still, whose clock is wrong, whose disk is full, or that people overtake."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.planned import Planned, wait_until, worker
from tests.mail_flow import AS_OF, CAMPAIGN, configure, send
from winback.outreach import campaign_state
from winback.outreach.decisions import Decision
from winback.outreach.dispatch import outreach
from winback.outreach.unknown_messages import resend
from winback.record.events import record
from winback.record.unsubscribe import unsubscribe
from winback.warehouse import connection as warehouse

pytestmark = pytest.mark.timeout(300)
N = 6


def decide(word: str) -> None:
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision(word, "because", "ann"))  # type: ignore[arg-type]


def wait_for_the_end_of_the_lease(flow: Planned) -> None:
    is_over = "select max(lease_until) < now() from ops.outreach"
    wait_until(lambda: flow.warehouse.execute(is_over) == [(True,)])


# Standing still


@pytest.mark.parametrize("step", ["after_claim", "before_dispatch_commit"])
def test_a_worker_that_stands_still_before_the_commit_finds_its_claims_gone(
    flow: Planned, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    configure(flow, monkeypatch, send_lease_seconds=1)
    flow.plan(N)
    before = flow.sandbox.counts()["requests"]
    with worker(flow, f"--stop-at={step}") as slow:
        slow.wait_until_it_stops()
        assert flow.states() == {"claimed": N}
        slow.freeze()
        slow.go_on()
        wait_for_the_end_of_the_lease(flow)
        taking_over = threading.Thread(target=send, args=(flow,))
        taking_over.start()
        if step == "after_claim":
            # the lease is over, and the database says so: another sends it all
            taking_over.join(60)
            assert flow.states() == {"accepted": N}
        else:
            # its transaction holds the rows; the other one passes them by
            taking_over.join(60)
            assert flow.states() == {"claimed": N}
        slow.thaw()
        assert slow.process.wait(60) == 0
    assert flow.sandbox.counts()["requests"] == before + 1
    assert flow.states() == {"accepted": N}
    flow.check_nothing_is_lost_or_doubled(N)


def test_a_worker_that_stands_still_after_the_commit_sends_once_and_late(
    flow: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_lease_seconds=1, send_timeout_seconds=1)
    flow.plan(N)
    before = flow.sandbox.counts()["requests"]
    with worker(flow, "--stop-at=after_dispatch_commit") as slow:
        slow.wait_until_it_stops()
        slow.freeze()
        slow.go_on()
        wait_for_the_end_of_the_lease(flow)
        # the others must take it for dead, and send nothing again
        assert send(flow) == {}
        assert flow.states() == {"unknown": N}
        slow.thaw()
        assert slow.process.wait(60) == 0
    # it was alive, and knows what became of its request
    assert flow.states() == {"accepted": N}
    assert flow.sandbox.counts()["requests"] == before + 1
    flow.check_nothing_is_lost_or_doubled(N)


def test_a_message_decided_about_while_its_worker_stood_still_keeps_the_truth(
    flow: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_lease_seconds=1, send_timeout_seconds=1)
    flow.plan(1)
    [(message_id,)] = flow.warehouse.execute("select message_id from ops.outreach")
    with worker(flow, "--stop-at=after_dispatch_commit") as slow:
        slow.wait_until_it_stops()
        slow.freeze()
        wait_for_the_end_of_the_lease(flow)
        with warehouse.connect("sender") as connection:
            resend(connection, [message_id], Decision("resend", "nobody answers", "ann"))
        slow.thaw()
        slow.go_on()
        assert slow.process.wait(60) == 0
    # it sends the first one after all, and then finds that the second is not needed
    assert flow.states() == {"abandoned": 1, "cancelled": 1}
    assert flow.reasons()["first_one_arrived"] == 1
    flow.sandbox.wait_for_events()
    record()
    assert flow.states() == {"delivered": 1, "cancelled": 1}
    assert flow.sandbox.counts()["max_per_key"] == 1


# Clocks


@pytest.mark.parametrize("hours", [-30, 30])
def test_leases_go_by_the_databases_clock(flow: Planned, hours: int) -> None:
    flow.plan(N)
    with worker(flow, "--stop-at=after_claim", f"--clock={hours * 3600}") as odd:
        odd.wait_until_it_stops()
        [(lease,)] = flow.warehouse.execute(
            "select extract(epoch from max(lease_until) - now())::float8 from ops.outreach"
        )
        assert 60 < lease <= 120
        # a right worker does not take them for abandoned
        assert send(flow) == {}
        odd.kill()
    flow.end_leases()
    with worker(flow, f"--clock={hours * 3600}") as odd:
        assert odd.process.wait(60) == 0
    assert flow.states() == {"accepted": N}
    flow.check_nothing_is_lost_or_doubled(N)


def test_a_slow_clock_overlooks_no_objection_and_no_old_date(
    flow: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, replay=False)
    flow.plan(N)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    flow.warehouse.execute(
        "update raw.consents set withdrawn_at = %s where customer_key = 'k1'", (an_hour_ago,)
    )
    with worker(flow, f"--clock={-3 * 3600}") as slow:
        assert slow.process.wait(60) == 0
    assert flow.states() == {"accepted": N - 1, "cancelled": 1}
    assert flow.reasons()["consent_withdrawn"] == 1
    # a worker whose clock stands at the as-of date may not send what is outdated
    flow.plan(N)
    configure(flow, monkeypatch, mail_transport="sendgrid", public_url="https://shop.example")
    back = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 12, tzinfo=UTC) - datetime.now(UTC)
    with worker(flow, f"--clock={back.total_seconds()}") as slow:
        assert slow.process.wait(60) == 1
    assert flow.states() == {"planned": N}
    said = (flow.sandbox.data / "workers.log").read_text()
    assert "outside the 24 hours for which a selection is valid" in said.splitlines()[-1]


# A full disk


def test_a_full_disk_under_the_log_loses_nothing(flow: Planned) -> None:
    flow.plan(N)
    with worker(flow, "--full-log") as writing:
        assert writing.process.wait(60) == 1
    assert "No space left on device" in (flow.sandbox.data / "workers.log").read_text()
    states = flow.states()
    assert sum(states.values()) == N
    assert not states.keys() - {"planned", "accepted"}
    send(flow)
    assert flow.states() == {"accepted": N}
    flow.check_nothing_is_lost_or_doubled(N)


# People who are quicker


def test_an_objection_between_claim_and_check_is_heeded(flow: Planned) -> None:
    flow.plan(N)
    message_id, *_ = flow.message()
    with worker(flow, "--stop-at=after_claim") as claiming:
        claiming.wait_until_it_stops()
        assert flow.states() == {"claimed": N}
        assert unsubscribe(message_id)
        claiming.go_on()
        assert claiming.process.wait(60) == 0
    assert flow.states() == {"accepted": N - 1, "cancelled": 1}
    assert flow.message("reason = 'suppressed'")[0] == message_id


@pytest.mark.parametrize("step", ["after_check", "before_dispatch_commit"])
def test_an_objection_during_the_check_waits_for_its_commit(flow: Planned, step: str) -> None:
    flow.plan(N)
    message_id, *_ = flow.message()
    with worker(flow, f"--stop-at={step}") as checking:
        checking.wait_until_it_stops()
        objecting = threading.Thread(target=unsubscribe, args=(message_id,))
        objecting.start()
        objecting.join(0.5)
        # it is too late for this message, and early enough for all that follow
        assert objecting.is_alive()
        assert flow.warehouse.execute("select count(*) from ops.suppression") == [(0,)]
        checking.go_on()
        assert checking.process.wait(60) == 0
        objecting.join(30)
    assert flow.states() == {"accepted": N}
    assert flow.warehouse.execute("select reason from ops.suppression") == [("unsubscribe",)]


@pytest.mark.parametrize("word", ["pause", "cancel"])
def test_a_campaign_held_while_a_worker_has_claims_sends_none_of_them(
    flow: Planned, word: str
) -> None:
    flow.plan(N)
    before = flow.sandbox.counts()["requests"]
    with worker(flow, "--stop-at=after_claim") as claiming:
        claiming.wait_until_it_stops()
        decide(word)
        assert flow.states() == {"claimed" if word == "pause" else "cancelled": N}
        claiming.go_on()
        assert claiming.process.wait(60) == 0
    assert flow.states() == {"planned" if word == "pause" else "cancelled": N}
    assert flow.sandbox.counts()["requests"] == before


# A provider that storms


def test_a_storm_of_rate_limits_ends_the_run_and_loses_nothing(
    flow: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=2)
    monkeypatch.setattr("winback.outreach.rate_limit.LONGEST_WAIT_SECONDS", 2.5)
    flow.plan(N)
    before = flow.sandbox.counts()
    flow.sandbox.fault("rate_limit_429", requests=1000, seconds=0)
    began = time.monotonic()
    assert outreach(flow.snapshot_id, AS_OF)[CAMPAIGN]["rate_limited"] == 6
    assert time.monotonic() - began < 10
    # a pause after each, and no more of them than the waiting allows
    assert flow.sandbox.counts()["faults_met"] - before["faults_met"] == 3
    assert flow.states() == {"planned": N}
    flow.sandbox.fault("none")
    assert send(flow)["accepted"] == N
    wait_until(lambda: flow.states() == {"accepted": N})
