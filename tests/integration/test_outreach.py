"""The step outreach against a real warehouse and the sandbox: at most once, and nothing vanishes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.mail_flow import AS_OF, MailFlow, configure, mail_flow
from winback.errors import CampaignError, DispatchRefused, SettingsError, TransportStopped
from winback.outreach.dispatch import outreach
from winback.record.events import record
from winback.settings import PROJECT, settings

CAMPAIGN = "welcome_back"
AT_NIGHT = datetime(AS_OF.year, AS_OF.month, AS_OF.day, tzinfo=UTC)


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    with mail_flow(warehouse_factory, sandbox_factory) as flow:
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> Iterator[MailFlow]:
    selected = built.restart()
    assert selected.n_planned == selected.n_treated > 10
    yield built
    # whatever a test did: nobody got a message twice
    assert built.sandbox.counts()["max_per_key"] <= 1


def send(flow: MailFlow) -> dict[str, int]:
    return dict(outreach(flow.snapshot_id, AS_OF)[CAMPAIGN])


def n_planned(flow: MailFlow) -> int:
    return flow.states()["planned"]


def wait_until(is_true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def child(code: str) -> subprocess.Popen[bytes]:
    """A worker of its own, which a test may kill."""
    return subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ), cwd=PROJECT)


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    assert worker.wait(30) == -9, "it ended before it was killed"


def test_what_is_planned_is_accepted_delivered_and_never_sent_again(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    assert send(flow) == {"accepted": n, "cancelled": 0}
    assert flow.states() == {"accepted": n}
    [(n_ids,)] = flow.warehouse.execute(
        "select count(provider_message_id) from ops.outreach where accepted_at is not null"
    )
    assert n_ids == n
    assert send(flow) == {}
    after = flow.sandbox.wait_for_events()
    assert after["accepted"] - before["accepted"] == n
    # two languages, each with and without a name
    assert after["requests"] - before["requests"] == 4
    assert record()["delivered"] == n
    assert flow.states() == {"delivered": n}
    assert send(flow) == {}
    assert flow.sandbox.counts() == after
    verdicts = flow.warehouse.execute(
        "select count(*) from ops.verdict where step = 'outreach' and is_eligible"
    )
    assert verdicts == [(n,)]


def test_small_batches_reach_everybody_once(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=3)
    n, before = n_planned(flow), flow.sandbox.counts()["accepted"]
    assert send(flow)["accepted"] == n
    assert flow.sandbox.counts()["accepted"] - before == n


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


def test_whoever_bought_objected_or_withdrew_since_is_cancelled_with_the_reason(
    flow: MailFlow,
) -> None:
    n = n_planned(flow)
    messages = flow.warehouse.execute(
        "select customer_key, address_hash, message_id from ops.outreach order by message_id"
    )
    bought, late, withdrew, bounced, person, moved = messages[:6]
    order = (
        "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
        " snapshot_id) values (%s, %s, %s, 100, 'EUR', 1)"
    )
    # the second was placed before the selection and reached us after it
    flow.warehouse.execute(order, ("test-1", bought[0], AT_NIGHT + timedelta(hours=1)))
    flow.warehouse.execute(order, ("test-2", late[0], AT_NIGHT - timedelta(days=3)))
    flow.warehouse.execute(
        "update raw.consents set withdrawn_at = %s where customer_key = %s",
        (AT_NIGHT, withdrew[0]),
    )
    suppression = (
        "insert into ops.suppression (address_hash, customer_key, scope, reason)"
        " values (%s, %s, %s, %s)"
    )
    flow.warehouse.execute(suppression, (bounced[1], None, "address", "bounce"))
    flow.warehouse.execute(suppression, ("another address", person[0], "person", "objection"))
    flow.warehouse.execute(
        "update ops.outreach set address_hash = 'old' where message_id = %s", (moved[2],)
    )
    # the next day's snapshot knows of it all
    tomorrow = AS_OF + timedelta(days=1)
    flow.warehouse.execute(
        "update ops.snapshot set as_of = %s where snapshot_id = %s", (tomorrow, flow.snapshot_id)
    )
    done = outreach(flow.snapshot_id, tomorrow)[CAMPAIGN]
    assert (done["cancelled"], done["accepted"]) == (6, n - 6)
    reasons = dict(
        flow.warehouse.execute(
            "select customer_key, reason from ops.outreach where state = 'cancelled'"
        )
    )
    assert reasons == {
        bought[0]: "returned",
        late[0]: "returned",
        withdrew[0]: "consent_withdrawn",
        bounced[0]: "suppressed",
        person[0]: "suppressed",
        moved[0]: "address_changed",
    }
    kept = flow.warehouse.execute(
        "select count(*) from ops.verdict where step = 'outreach' and not is_eligible"
    )
    assert kept == [(6,)]


def test_outside_a_replay_a_withdrawal_of_this_morning_counts(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, replay=False)
    _, customer_key, _ = flow.message()
    morning = AT_NIGHT + timedelta(hours=3)
    assert datetime.now(UTC) > morning
    flow.warehouse.execute(
        "update raw.consents set withdrawn_at = %s where customer_key = %s",
        (morning, customer_key),
    )
    assert send(flow)["cancelled"] == 1
    assert flow.reasons()["consent_withdrawn"] == 1


def test_one_silence_under_two_names_is_written_to_once(flow: MailFlow) -> None:
    message_id, customer_key, _ = flow.message()
    send(flow)
    # an order of long ago turns up: the lapse has another name, and was planned anew
    flow.warehouse.execute("update ops.outreach set is_lapse_open = false")
    flow.warehouse.execute(
        "insert into ops.assignment (campaign_id, lapse_id, customer_key, snapshot_id, as_of,"
        " occasion, occasion_date, arm, stratum, customer_state, window_starts_at, window_days)"
        " select campaign_id, 'other', customer_key, snapshot_id, as_of, occasion,"
        " occasion_date + 1, arm, stratum, customer_state, window_starts_at, window_days"
        " from ops.assignment where customer_key = %s",
        (customer_key,),
    )
    copy = (
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template, is_lapse_open) select campaign_id, 'other',"
        " %s, channel, customer_key, address_hash, snapshot_id, as_of, template, %s"
        " from ops.outreach where message_id = %s"
    )
    flow.warehouse.execute(copy, (1, True, message_id))
    flow.warehouse.execute(copy, (2, False, message_id))
    before = flow.sandbox.counts()["accepted"]
    assert send(flow) == {"cancelled": 2}
    assert flow.reasons()["contacted_since"] == 1
    assert flow.reasons()["lapse_over"] == 1
    assert flow.sandbox.counts()["accepted"] == before


def test_nothing_leaves_without_passed_gates_or_from_another_snapshot(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    with pytest.raises(DispatchRefused, match="there is no snapshot 99"):
        outreach(99, AS_OF)
    with pytest.raises(DispatchRefused, match="is of 2026-03-01, not of 2026-02-28"):
        outreach(flow.snapshot_id, AS_OF - timedelta(days=1))
    verdict = (
        "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)"
        " values (%s, 'raw', %s, 1, 1)"
    )
    flow.warehouse.execute(verdict, (flow.snapshot_id, False))
    with pytest.raises(DispatchRefused, match="has not passed the gates"):
        send(flow)
    flow.warehouse.execute(verdict, (flow.snapshot_id, True))
    snapshot = (
        "insert into ops.snapshot (as_of, purpose, dataset, completed_at)"
        " values (%s, %s, 'shop', now()) returning snapshot_id"
    )
    [(backfill,)] = flow.warehouse.execute(snapshot, (AS_OF, "backfill"))
    with pytest.raises(DispatchRefused, match="backfills never send"):
        outreach(backfill, AS_OF)
    [(newer,)] = flow.warehouse.execute(snapshot, (AS_OF + timedelta(days=1), "live"))
    with pytest.raises(DispatchRefused, match="not the newest complete one"):
        send(flow)
    flow.warehouse.execute(
        "delete from ops.snapshot where snapshot_id = any(%s)", ([backfill, newer],)
    )
    assert flow.sandbox.counts()["requests"] == before
    assert send(flow)["accepted"] == n


def test_the_real_transport_sends_only_for_today_and_with_a_stop_link_that_works(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, mail_transport="sendgrid")
    with pytest.raises(SettingsError, match="replay"):
        settings()
    configure(flow, monkeypatch, replay=False)
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    with pytest.raises(DispatchRefused, match="outside the 24 hours"):
        send(flow)
    today = settings().today()
    flow.warehouse.execute("update ops.snapshot set as_of = %s", (today,))
    with pytest.raises(DispatchRefused, match="public_url must be an https address"):
        outreach(flow.snapshot_id, today)
    configure(flow, monkeypatch, public_url="https://shop.example", sendgrid_url="http://192.0.2.1")
    with pytest.raises(DispatchRefused, match="sendgrid_url is not https"):
        outreach(flow.snapshot_id, today)
    assert flow.sandbox.counts()["requests"] == before
    configure(flow, monkeypatch, sendgrid_url=flow.sandbox.url)
    assert outreach(flow.snapshot_id, today)[CAMPAIGN]["accepted"] == n


@pytest.mark.parametrize(
    "url",
    [
        "https://api.sendgrid.com",
        "https://192.0.2.1//127.0.0.1:80",
        "http://127.0.0.1:1@192.0.2.1",
        "ftp://127.0.0.1:21",
        "127.0.0.1:80",
    ],
)
def test_the_sandbox_transport_never_leaves_this_machine(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    configure(flow, monkeypatch, sendgrid_url=url)
    with pytest.raises(DispatchRefused, match="not on this machine"):
        send(flow)


def test_a_wrong_key_stops_the_campaign_and_keeps_the_plan(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    configure(flow, monkeypatch, sendgrid_api_key="SG.wrong")
    with pytest.raises(TransportStopped, match=r"HTTP 401.*set WINBACK_SENDGRID_API_KEY"):
        send(flow)
    assert flow.sandbox.counts()["requests"] == before + 1
    assert flow.states() == {"planned": n}
    [(state, reason)] = flow.warehouse.execute("select state, state_reason from ops.campaign")
    assert (state, reason) == ("stopped", "HTTP 401")
    configure(flow, monkeypatch, sendgrid_api_key=flow.sandbox.api_key)
    assert send(flow) == {}
    assert flow.sandbox.counts()["requests"] == before + 1
    flow.warehouse.execute("update ops.campaign set state = 'running'")
    assert send(flow)["accepted"] == n


def test_no_key_at_all_sends_nothing(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(flow, monkeypatch, sendgrid_api_key="")
    with pytest.raises(DispatchRefused, match="set WINBACK_SENDGRID_API_KEY"):
        send(flow)


def test_a_paused_campaign_sends_nothing(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    flow.warehouse.execute("update ops.campaign set state = 'paused'")
    assert send(flow) == {}
    assert (flow.sandbox.counts()["requests"], n_planned(flow)) == (before, n)


def test_a_campaign_paused_during_the_run_ends_with_the_request_under_way(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=4, send_timeout_seconds=20)
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault("rate_limit_429", seconds=2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, flow)
        wait_until(lambda: flow.sandbox.counts()["faults_met"] > before["faults_met"])
        flow.warehouse.execute("update ops.campaign set state = 'paused'")
        assert running.result().get("accepted", 0) == 0
    assert flow.states() == {"planned": n}


def test_a_broken_template_claims_nobody(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(PROJECT / "campaigns", tmp_path / "campaigns")
    body = tmp_path / "campaigns" / "templates" / CAMPAIGN / "body.de.txt"
    body.write_text("{{ nonsense }}", encoding="utf-8")
    configure(flow, monkeypatch, campaigns=tmp_path / "campaigns")
    n = n_planned(flow)
    with pytest.raises(CampaignError, match=r"body\.de\.txt.*nonsense"):
        send(flow)
    assert flow.states() == {"planned": n}


def test_one_bad_recipient_is_rejected_and_the_others_are_sent(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    message_id, _, _ = flow.message()
    [(email,)] = flow.warehouse.execute(
        "select email from pii.customers join ops.outreach using (customer_key)"
        " where message_id = %s",
        (message_id,),
    )
    flow.sandbox.fault("bad_recipient_400", address=email, requests=100)
    assert send(flow) == {"accepted": n - 1, "rejected": 1, "cancelled": 0}
    counts = flow.sandbox.counts()
    assert counts["faults_met"] - before["faults_met"] > 1
    assert counts["accepted"] - before["accepted"] == n - 1
    assert flow.warehouse.execute(
        "select message_id, reason from ops.outreach where state = 'rejected'"
    ) == [(message_id, "HTTP 400 in personalizations.to.email")]


def test_when_everybody_is_rejected_the_campaign_stops_before_all_are_lost(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1)
    n = n_planned(flow)
    flow.sandbox.fault("bad_recipient_400", requests=1000)
    with pytest.raises(CampaignError, match="rejected 10 messages"):
        send(flow)
    assert flow.states() == {"rejected": 10, "planned": n - 10}
    assert flow.warehouse.execute("select state from ops.campaign") == [("stopped",)]


def test_a_wrong_sender_rejects_nobody_and_stops_the_campaign(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, sender_email="no address")
    n = n_planned(flow)
    with pytest.raises(TransportStopped, match=r"HTTP 400 in from.email.*sender settings"):
        send(flow)
    assert flow.states() == {"planned": n}


def test_a_rate_limit_is_waited_for_or_left_to_the_next_run(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault("rate_limit_429", seconds=3600)
    done = send(flow)
    assert flow.sandbox.counts()["faults_met"] == before["faults_met"] + 1
    assert done["rate_limited"] > 0
    assert flow.states() == {"planned": n}
    flow.sandbox.fault("rate_limit_429", seconds=1)
    assert send(flow)["accepted"] == n
    assert flow.sandbox.counts()["faults_met"] == before["faults_met"] + 2
    assert flow.reasons() == {None: n}


@pytest.mark.parametrize(
    "mode", ["error_500", "error_500_after_accept", "hang_after_accept", "reset_after_accept"]
)
def test_a_request_without_a_clear_answer_is_unknown_until_an_event_tells(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    configure(flow, monkeypatch, send_timeout_seconds=1)
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault(mode, seconds=5)
    with pytest.raises(DispatchRefused, match="are unknown"):
        send(flow)
    assert flow.sandbox.counts()["faults_met"] == before["faults_met"] + 1
    n_unknown = flow.states()["unknown"]
    # one request is the most that can be unknown at once
    assert 0 < n_unknown < n
    assert flow.states() == {"unknown": n_unknown, "planned": n - n_unknown}
    assert send(flow)["accepted"] == n - n_unknown
    counts = flow.sandbox.wait_for_events()
    n_taken = counts["accepted"] - before["accepted"]
    assert n_taken == (n - n_unknown if mode == "error_500" else n)
    record()
    expected = {"delivered": n_taken, "unknown": n - n_taken}
    assert flow.states() == {state: count for state, count in expected.items() if count}


def test_a_server_that_is_down_leaves_everything_planned(flow: MailFlow) -> None:
    n = n_planned(flow)
    flow.sandbox.stop()
    try:
        with pytest.raises(DispatchRefused, match="can not be reached.*stay planned"):
            send(flow)
        assert flow.states() == {"planned": n}
    finally:
        flow.sandbox.start()
    assert send(flow)["accepted"] == n


SENDING = (
    "from datetime import date; from winback.outreach.dispatch import outreach;"
    "outreach({snapshot}, date({as_of}))"
)
CLAIMING = (
    "import time; from winback.outreach import ledger; from winback.settings import settings;"
    "from winback.warehouse.connection import connect\n"
    "with connect('sender') as c: ledger.claim(c, 'welcome_back', 'child', settings())\n"
    "time.sleep(600)"
)


@pytest.mark.parametrize("mode", ["hang", "hang_after_accept"])
def test_what_a_killed_worker_was_sending_is_unknown_and_never_sent_again(
    flow: MailFlow, mode: str
) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()
    flow.sandbox.fault(mode, seconds=20)
    as_of = f"{AS_OF.year}, {AS_OF.month}, {AS_OF.day}"
    worker = child(SENDING.format(snapshot=flow.snapshot_id, as_of=as_of))
    try:
        wait_until(lambda: flow.sandbox.counts()["faults_met"] > before["faults_met"])
    finally:
        kill(worker)
    n_dead = flow.states()["dispatching"]
    assert n_dead > 0
    assert flow.states() == {"dispatching": n_dead, "claimed": n - n_dead}
    # nobody may touch them while the worker might live
    assert send(flow) == {}
    flow.end_leases()
    assert send(flow)["accepted"] == n - n_dead
    assert flow.states() == {"unknown": n_dead, "accepted": n - n_dead}
    assert send(flow) == {}
    taken = flow.sandbox.wait_for_events()["accepted"] - before["accepted"]
    assert taken == (n - n_dead if mode == "hang" else n)
    record()
    assert flow.states()["unknown"] == n - taken


def test_what_a_worker_claimed_before_it_was_killed_is_taken_over_and_sent_once(
    flow: MailFlow,
) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["accepted"]
    worker = child(CLAIMING)
    try:
        wait_until(lambda: flow.states()["claimed"] == n)
    finally:
        kill(worker)
    assert send(flow) == {}
    flow.end_leases()
    assert send(flow)["accepted"] == n
    assert flow.sandbox.counts()["accepted"] - before == n


def test_a_worker_that_slept_past_its_lease_can_change_nothing(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from winback.outreach import ledger
    from winback.warehouse import connection as warehouse

    config = settings()
    with warehouse.connect("sender") as connection:
        slow = ledger.claim(connection, CAMPAIGN, "slow", config)
    flow.end_leases()
    with warehouse.connect("sender") as connection:
        # nobody has taken over yet, and still it is too late
        assert ledger.mark_dispatching(connection, slow, config) == []
    assert send(flow)["accepted"] == len(slow)
    with warehouse.connect("sender") as connection:
        assert ledger.hold(connection, slow) == []
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


def test_an_error_between_claim_and_request_frees_the_claims(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, public_url="https://shop.example/\u00e4")
    n = n_planned(flow)
    with pytest.raises(DispatchRefused, match="public_url"):
        send(flow)
    configure(flow, monkeypatch, public_url="https://shop.example")
    flow.warehouse.execute("alter table ops.verdict add constraint broken check (step <> 'outreach')")
    try:
        with pytest.raises(Exception, match="broken"):
            send(flow)
    finally:
        flow.warehouse.execute("alter table ops.verdict drop constraint broken")
    assert flow.states() == {"planned": n}
