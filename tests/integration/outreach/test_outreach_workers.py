"""Several dispatchers and slow ones in one process; those that are killed are in `tests/faults`."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, n_planned, send
from winback.errors import DispatchRefused
from winback.outreach import campaign_state, last_check, ledger
from winback.outreach.decisions import Decision
from winback.settings import settings
from winback.warehouse import connection as warehouse


def wait_until(is_true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_dispatcher_during_a_request_takes_only_what_the_first_has_not(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=4)
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault("hang_after_accept", seconds=3)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, flow)
        wait_until(lambda: flow.sandbox.counts()["faults_met"] > before["faults_met"])
        second = send(flow)
        # the first is in the midst of its request still, with its claims
        assert flow.states()["dispatching"] > 0
        with pytest.raises(DispatchRefused, match="unknown"):
            first.result()
    assert second["accepted"] == n - 4
    # what the first had claimed and not sent is free again
    states = flow.states()
    assert states["unknown"] + states["planned"] == 4
    send(flow)
    assert flow.sandbox.counts()["accepted"] - before["accepted"] == n


def test_four_dispatchers_at_once_send_everything_once(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1)
    n, before = n_planned(flow), flow.sandbox.counts()["accepted"]
    with ThreadPoolExecutor(4) as pool:
        results = [each.result() for each in [pool.submit(send, flow) for _ in range(4)]]
    assert sum(result.get("accepted", 0) for result in results) == n
    assert flow.sandbox.counts()["accepted"] - before == n
    assert flow.states() == {"accepted": n}


def test_a_campaign_paused_during_the_run_ends_with_the_request_under_way(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=4, send_timeout_seconds=20)
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault("rate_limit_429", seconds=2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, flow)
        wait_until(lambda: flow.sandbox.counts()["faults_met"] > before["faults_met"])
        with warehouse.connect("sender") as connection:
            campaign_state.decide(connection, CAMPAIGN, Decision("pause", "wrong price", "ann"))
        assert running.result().get("accepted", 0) == 0
    assert flow.states() == {"planned": n}


def test_a_pause_counts_from_the_next_request_on_even_within_a_batch(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    # somebody pauses the campaign at the very moment at which the first request is accepted
    flow.warehouse.execute(
        "create function ops.pause() returns trigger language plpgsql security definer as $$"
        " begin update ops.campaign set state = 'paused'; return null; end $$;"
        " create trigger pause after update of state on ops.outreach for each row"
        " when (new.state = 'accepted') execute function ops.pause()"
    )
    try:
        n_accepted = send(flow)["accepted"]
    finally:
        flow.warehouse.execute("drop function ops.pause cascade")
    assert 0 < n_accepted < n
    assert flow.sandbox.counts()["requests"] == before["requests"] + 1
    assert flow.states() == {"accepted": n_accepted, "planned": n - n_accepted}


def test_a_worker_that_slept_past_its_lease_can_change_nothing(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:

    config = settings()
    with warehouse.connect("sender") as connection:
        slow = ledger.claim(connection, CAMPAIGN, "slow", config)
    flow.end_leases()
    with warehouse.connect("sender") as connection:
        # nobody has taken over yet, and still it is too late
        assert ledger.mark_dispatching(connection, slow, config) == []
    assert send(flow)["accepted"] == len(slow)
    with warehouse.connect("sender") as connection:
        assert last_check.check(connection, slow, CAMPAIGN, flow.snapshot_id, AS_OF, config) == []
        assert ledger.mark_dispatching(connection, slow, config) == []
        ledger.release(connection, slow)
        ledger.cancel(connection, slow, "too late")
        ledger.back_to_planned(connection, slow, "too late")
        ledger.unknown(connection, slow, "too late")
        ledger.accepted(connection, slow, "another")
    assert flow.states() == {"accepted": len(slow)}
    assert flow.warehouse.execute(
        "select count(*) from ops.outreach where provider_message_id = 'another'"
    ) == [(0,)]
