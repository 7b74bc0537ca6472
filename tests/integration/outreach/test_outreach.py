"""Outreach against a real warehouse and the sandbox: who is written to, once, and who is not."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.outreach.test_dynamic_templates import newest_requests
from tests.mail_flow import (
    AS_OF,
    CAMPAIGN,
    MailFlow,
    configure,
    event,
    n_planned,
    register_of_a_relay,
    send,
    written_through,
)
from winback.errors import DispatchRefused, SettingsError
from winback.outreach import last_check
from winback.outreach.dispatch import outreach
from winback.outreach.last_check import Checked
from winback.outreach.ledger import Claim
from winback.record.events import record
from winback.settings import settings

AT_NIGHT = datetime(AS_OF.year, AS_OF.month, AS_OF.day, tzinfo=UTC)


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


def test_an_unsubscribe_group_goes_with_our_own_way_to_unsubscribe(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, sendgrid_unsubscribe_group=17)
    assert send(flow)["accepted"] > 0
    with sqlite3.connect(flow.sandbox.data / "sandbox.sqlite") as journal:
        [(body,)] = journal.execute(
            "select body from request where body is not null order by number desc limit 1"
        )
    sent = json.loads(body)
    assert sent["asm"] == {"group_id": 17}
    for each in sent["personalizations"]:
        assert each["headers"].keys() == {"List-Unsubscribe", "List-Unsubscribe-Post"}
    # whoever leaves the group at the provider objects
    message_id, customer_key, _ = flow.message()
    flow.post([event("group_unsubscribe", message_id, asm_group_id=17)])
    record()
    assert flow.warehouse.execute("select customer_key, scope, reason from ops.suppression") == [
        (customer_key, "person", "unsubscribe")
    ]


def test_small_batches_reach_everybody_once(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=3)
    n, before = n_planned(flow), flow.sandbox.counts()["accepted"]
    assert send(flow)["accepted"] == n
    assert flow.sandbox.counts()["accepted"] - before == n


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
    # whose row holds the address that they have now
    assert flow.warehouse.execute(
        "select evidence ->> 'address_of' from ops.verdict"
        " where step = 'outreach' and reasons = array['address_changed']"
    ) == [(moved[0],)]


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
        " occasion, occasion_date, arm, stratum, customer_state, window_starts_at, window_ends_at,"
        " window_days) select campaign_id, 'other', customer_key, snapshot_id, as_of, occasion,"
        " occasion_date + 1, arm, stratum, customer_state, window_starts_at, window_ends_at,"
        " window_days"
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
    kept = refusals(flow)
    assert kept["contacted_since"]["earlier_message"] == str(message_id)
    [(day,)] = flow.warehouse.execute(
        "select occasion_date from ops.assignment where lapse_id = 'other'"
    )
    assert kept["lapse_over"]["occasion_date"] == day.isoformat()


def refusals(flow: MailFlow) -> dict[str, dict[str, Any]]:
    """The evidence of what the last check refused, by reason."""
    rows = flow.warehouse.execute(
        "select array_to_string(reasons, ', '), evidence from ops.verdict"
        " where step = 'outreach' and not is_eligible"
    )
    return dict(rows)


def test_a_plan_whose_window_is_over_is_not_sent(flow: MailFlow) -> None:
    n = n_planned(flow)
    (over, _), (last_day, _) = flow.warehouse.execute(
        "select customer_key, message_id from ops.outreach order by 1 limit 2"
    )
    drawn = "update ops.assignment set as_of = as_of - window_days + %s where customer_key = %s"
    flow.warehouse.execute(drawn, (0, over))
    flow.warehouse.execute(drawn, (1, last_day))
    assert send(flow) == {"accepted": n - 1, "cancelled": 1}
    assert flow.warehouse.execute(
        "select customer_key, reason from ops.outreach where state = 'cancelled'"
    ) == [(over, "window_over")]
    assert refusals(flow)["window_over"]["window_ended"] == AS_OF.isoformat()


def test_who_is_under_contract_again_is_not_written_to(flow: MailFlow) -> None:
    n = n_planned(flow)
    keys = [key for (key,) in flow.warehouse.execute("select customer_key from ops.outreach")]
    revoked, anew, gone, before, deleted, later, silent, other_number = sorted(keys)[:8]
    said = {"cancelled_at": AS_OF - timedelta(days=90), "ends_at": AS_OF - timedelta(days=60)}
    flow.cancelled(revoked, revoked_at=AS_OF - timedelta(days=89), **said)
    flow.cancelled(anew, started_at=AS_OF - timedelta(days=1))
    flow.cancelled(gone, **said)
    flow.cancelled(before, started_at=AS_OF - timedelta(days=91), **said)
    flow.cancelled(deleted, started_at=AS_OF - timedelta(days=1), deleted_at=AS_OF)
    # not known yet on the date that is replayed
    flow.cancelled(later, revoked_at=AS_OF + timedelta(days=1), **said)
    # told under another number of the same person
    flow.cancelled(other_number, **said)
    flow.warehouse.execute(
        "insert into ops.customer_merge (customer_key, winner_key, evidence, email_hash,"
        " merged_as_of) values ('number', %s, 'email', 'made up', %s)",
        (other_number, AS_OF),
    )
    flow.warehouse.execute(
        "insert into raw.contracts (contract_id, customer_key, started_at, snapshot_id)"
        " values ('another', 'number', %s, 1)",
        (AS_OF - timedelta(days=1),),
    )
    # it was no cancellation that made them lapse
    flow.cancelled(silent, revoked_at=AS_OF - timedelta(days=89), **said)
    flow.warehouse.execute(
        "update ops.assignment set occasion = 'last_purchase' where customer_key = %s", (silent,)
    )
    assert send(flow) == {"accepted": n - 3, "cancelled": 3}
    reasons = flow.warehouse.execute(
        "select customer_key, reason from ops.outreach where state = 'cancelled'"
    )
    assert dict(reasons) == dict.fromkeys((revoked, anew, other_number), "cancellation_over")
    flow.warehouse.execute("delete from ops.customer_merge")


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
    with pytest.raises(DispatchRefused, match="backfills compute, never send"):
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
    flow.warehouse.execute("update ops.assignment set as_of = %s", (today,))
    with pytest.raises(DispatchRefused, match="set fsync = on in "):
        outreach(flow.snapshot_id, today)
    with written_through(flow):
        with pytest.raises(DispatchRefused, match="public_url must be an https address"):
            outreach(flow.snapshot_id, today)
        shop = "https://shop.example"
        configure(flow, monkeypatch, public_url=shop, sendgrid_url="http://192.0.2.1")
        with pytest.raises(DispatchRefused, match="sendgrid_url is not https"):
            outreach(flow.snapshot_id, today)
        assert flow.sandbox.counts()["requests"] == before
        configure(flow, monkeypatch, sendgrid_url=flow.sandbox.url)
        with pytest.raises(DispatchRefused, match="names no contract with the mail provider"):
            outreach(flow.snapshot_id, today)
        configure(flow, monkeypatch, recipients=register_of_a_relay(flow.sandbox.data))
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


def test_no_key_at_all_sends_nothing(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(flow, monkeypatch, sendgrid_api_key="")
    with pytest.raises(DispatchRefused, match="set WINBACK_SENDGRID_API_KEY"):
        send(flow)


def test_a_paused_campaign_sends_nothing(flow: MailFlow) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    flow.warehouse.execute("update ops.campaign set state = 'paused'")
    assert send(flow) == {}
    assert (flow.sandbox.counts()["requests"], n_planned(flow)) == (before, n)


@pytest.fixture
def asked(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> list[list[UUID]]:
    """Whom each last check is about, one batch and one connection for all."""
    configure(flow, monkeypatch, send_batch_size=1000, send_connections=1)
    asked: list[list[UUID]] = []
    check = last_check.check

    def counting(connection: Any, claims: Sequence[Claim], *rest: Any) -> list[Checked]:
        asked.append([claim.message_id for claim in claims])
        return check(connection, claims, *rest)

    monkeypatch.setattr(last_check, "check", counting)
    return asked


def test_before_a_request_its_own_recipients_are_asked_about_and_nobody_twice(
    flow: MailFlow, asked: list[list[UUID]]
) -> None:
    """Each language, with and without a name, takes a request."""
    n = n_planned(flow)
    assert send(flow)["accepted"] == n
    assert len(asked) == 4
    everybody = [message_id for each in asked for message_id in each]
    assert len(set(everybody)) == len(everybody) == n


def test_who_is_not_like_they_were_planned_is_asked_about_again_and_gets_the_right_mail(
    flow: MailFlow, asked: list[list[UUID]]
) -> None:
    n = n_planned(flow)
    # not the first of those who are alike: the mail of the first one is the one that is sent first
    [(message_id, locale)] = flow.warehouse.execute(
        "update raw.customers as c"
        " set locale = case c.locale when 'de_DE' then 'en_GB' else 'de_DE' end"
        " from (select * from ops.outreach order by message_id desc limit 1) as o"
        " where c.customer_key = o.customer_key returning o.message_id, c.locale"
    )
    before = flow.sandbox.counts()["requests"]
    assert send(flow)["accepted"] == n
    times = Counter(x for each in asked for x in each)
    assert [x for x, n_times in times.items() if n_times > 1] == [message_id]
    [body] = [
        body
        for body in newest_requests(flow, flow.sandbox.counts()["requests"] - before)
        if any(p["custom_args"]["message_id"] == str(message_id) for p in body["personalizations"])
    ]
    assert ("Guten Tag" in body["content"][0]["value"]) == (locale == "de_DE")
