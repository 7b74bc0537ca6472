"""Messages that wait at the provider until the quiet hours end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, n_planned, send
from tests.night import (
    batches,
    buy,
    decide,
    let_time_pass_until,
    quiet_now,
)
from winback.errors import DispatchRefused
from winback.outreach import scheduled_batches
from winback.outreach.scheduled_batches import Slot
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport
from winback.outreach.taking_back import look_again
from winback.record.events import record
from winback.warehouse import connection as warehouse


def test_at_night_mail_waits_at_the_provider_and_is_delivered_in_the_morning(
    night: MailFlow,
) -> None:
    n, before = n_planned(night), night.sandbox.counts()
    assert send(night)["accepted"] == n
    counts = night.sandbox.counts()
    assert counts["accepted"] - before["accepted"] == counts["held"] - before["held"] == n
    assert counts["events_pending"] == 0
    # a batch for each request, and its time on every row
    n_requests = counts["requests"] - before["requests"]
    assert len(batches(night)) == n_requests > 1
    rows = night.warehouse.execute(
        "select count(*), count(distinct batch_id), min(send_at), max(send_at) from ops.outreach"
        " where state = 'accepted'"
    )
    [(n_rows, n_batches, first, last)] = rows
    assert (n_rows, n_batches, first) == (n, n_requests, last)
    assert timedelta(hours=2) <= last - datetime.now(UTC) <= timedelta(hours=3)
    assert (last.minute, last.second) == (0, 0)
    assert look_again() == {}
    record()
    assert night.states() == {"accepted": n}
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert night.states() == {"delivered": n}
    assert night.sandbox.counts()["held"] == before["held"]


def test_by_day_and_in_a_replay_nothing_waits(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = datetime.now(UTC).hour
    loud = f"{(hour + 2) % 24:02}:00-{(hour + 4) % 24:02}:00"
    quiet = quiet_now()
    for replay, hours in ((False, loud), (False, ""), (True, quiet)):
        flow.restart()
        configure(flow, monkeypatch, replay=replay, quiet_hours=hours)
        assert send(flow)["accepted"] > 0
        assert batches(flow) == []
        assert flow.warehouse.execute("select count(send_at) from ops.outreach") == [(0,)]


@pytest.mark.parametrize("mode", ["refuse_401", "error_500", "hang"])
def test_without_a_batch_id_nothing_is_sent(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    configure(night, monkeypatch, send_timeout_seconds=1)
    n, before = n_planned(night), night.sandbox.counts()
    night.sandbox.fault(mode, request="batch", seconds=2)
    with pytest.raises(DispatchRefused, match=r"gives no batch id .*stay planned"):
        send(night)
    assert night.states() == {"planned": n}
    assert night.sandbox.counts()["requests"] == before["requests"]
    assert batches(night) == []
    assert send(night)["accepted"] == n


def test_a_rate_limit_on_batch_ids_is_waited_for_or_left_to_the_next_run(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_connections=1)
    n, before = n_planned(night), night.sandbox.counts()
    night.sandbox.fault("rate_limit_429", request="batch", seconds=3600)
    assert send(night) == {}
    assert night.states() == {"planned": n}
    assert night.sandbox.counts()["requests"] == before["requests"]
    sending = SendGridTransport.send

    def limited_after_the_first(transport: SendGridTransport, body: dict[str, Any]) -> Outcome:
        if night.sandbox.counts()["requests"] == before["requests"]:
            night.sandbox.fault("rate_limit_429", request="batch", seconds=1)
        return sending(transport, body)

    monkeypatch.setattr(SendGridTransport, "send", limited_after_the_first)
    assert send(night)["accepted"] == n
    left = httpx.get(f"{night.sandbox.url}/sandbox/faults", trust_env=False).json()
    assert (left["mode"], left["requests"]) == ("rate_limit_429", 0)


def refuse_somebody(flow: MailFlow) -> Any:
    """Has the provider refuse an address among others of its shape; gives its message."""
    [(message_id, email)] = flow.warehouse.execute(
        "select o.message_id, c.email from ("
        " select customer_key, email, count(*) over (partition by locale, first_name <> '') as n"
        " from pii.customers join raw.customers using (customer_key)) as c"
        " join ops.outreach as o using (customer_key) order by n desc, o.message_id limit 1"
    )
    flow.sandbox.fault("bad_recipient_400", address=email, requests=100)
    return message_id


def n_batches(flow: MailFlow) -> int:
    [(n,)] = flow.warehouse.execute(
        "select count(distinct batch_id) from ops.outreach where state = 'accepted'"
    )
    return int(n)


def test_one_bad_address_does_not_use_up_the_batches_that_may_wait(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_planned(night)
    send(night)
    n_shapes = n_batches(night)
    decide("cancel")
    night.restart()
    before = night.sandbox.counts()["requests"]
    message_id = refuse_somebody(night)
    assert send(night) == {"accepted": n - 1, "rejected": 1, "cancelled": 0}
    # the refused one was found by halving, and the halves wait in the batch of the whole
    assert night.sandbox.counts()["requests"] - before > n_shapes + 1
    assert n_batches(night) <= n_shapes
    assert night.warehouse.execute(
        "select count(*) from ops.outreach where state = 'accepted' and batch_id is null"
    ) == [(0,)]
    # which is taken back as a whole
    [(bought,)] = night.warehouse.execute(
        "select o.customer_key from ops.outreach as o where batch_id in ("
        " select batch_id from ops.outreach where state = 'accepted' group by 1"
        " order by count(distinct provider_message_id) desc limit 1) limit 1"
    )
    buy(night, bought)
    moved = look_again()
    assert moved["cancelled"] == 1
    assert moved["planned"] > 0
    configure(night, monkeypatch, quiet_hours="")
    assert send(night)["accepted"] == moved["planned"]
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert night.states() == {"delivered": n - 2, "rejected": 1, "cancelled": 1}
    assert night.reasons()["returned"] == 1
    assert night.message("state = 'rejected'")[0] == message_id


def test_a_half_is_not_put_into_a_batch_that_is_being_taken_back(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_planned(night)
    refuse_somebody(night)
    real = SendGridTransport.send
    asked: set[str] = set()

    def send_and_ask(transport: SendGridTransport, body: dict[str, Any]) -> Outcome:
        outcome = real(transport, body)
        if outcome.kind == "rejected" and not asked:
            # meanwhile somebody in an earlier half has bought
            asked.add(body["batch_id"])
            with warehouse.connect("sender") as connection:
                scheduled_batches.ask(connection, list(asked))
        return outcome

    monkeypatch.setattr(SendGridTransport, "send", send_and_ask)
    assert send(night)["accepted"] == n - 1
    assert len(asked) == 1
    assert night.warehouse.execute(
        "select count(*) from ops.outreach where batch_id = any(%s)", (list(asked),)
    ) == [(0,)]


def test_the_database_keeps_a_batch_that_is_asked_for_from_growing(night: MailFlow) -> None:
    send(night)
    [(batch_id, send_at, *_)] = batches(night)[:1]
    slot = Slot(batch_id, send_at)
    with warehouse.connect("sender") as connection:
        scheduled_batches.schedule(connection, [], slot, CAMPAIGN, AS_OF)
        scheduled_batches.ask(connection, [batch_id])
        with pytest.raises(scheduled_batches.NoMoreMayWait):
            scheduled_batches.schedule(connection, [], slot, CAMPAIGN, AS_OF)
