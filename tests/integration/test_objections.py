"""Bounces, complaints and unsubscribes: they stop what is planned, at once and for ever."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.mail_flow import (
    AS_OF,
    CAMPAIGN,
    MailFlow,
    configure,
    event,
    mail_flow,
    n_planned,
    run_task_outreach,
    send,
    send_unanswered,
)
from winback.errors import ServerError
from winback.outreach import last_check
from winback.outreach import ledger as send_ledger
from winback.outreach.last_check import Checked
from winback.outreach.lists import write_list
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.privacy.keyed_hash import address_hash
from winback.record import suppression
from winback.record.events import apply, record
from winback.record.unsubscribe import token, unsubscribe
from winback.record.vocabulary import read_batch
from winback.settings import settings
from winback.warehouse import connection as warehouse


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    with mail_flow(warehouse_factory, sandbox_factory) as flow:
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> MailFlow:
    built.sandbox.wait_for_events()
    assert built.restart().n_planned > 10
    return built


def second_message(flow: MailFlow, where: str, step: int, **changed: str) -> Any:
    """Plans another step for somebody who got one, as a second campaign would."""
    message_id, customer_key, hashed = flow.message(where)
    values = {"customer_key": customer_key, "address_hash": hashed, **changed}
    [(planned,)] = flow.warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template) select campaign_id, lapse_id, %s, channel,"
        " %s, %s, snapshot_id, as_of, template from ops.outreach where message_id = %s"
        " returning message_id",
        (step, values["customer_key"], values["address_hash"], message_id),
    )
    return message_id, planned


def wait_for_a_lock(flow: MailFlow) -> None:
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    deadline = time.monotonic() + 30
    while flow.warehouse.execute(waiting) != [(1,)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_bounce_stops_the_address_a_complaint_the_person(flow: MailFlow) -> None:
    send_unanswered(flow)
    (bounced, *_), (complained, *_) = flow.warehouse.execute(
        "select message_id from ops.outreach order by message_id limit 2"
    )
    where = "message_id = '{}'"
    _, same_address = second_message(flow, where.format(bounced), 2, customer_key="another")
    _, new_address = second_message(flow, where.format(bounced), 3, address_hash="another")
    _, same_person = second_message(flow, where.format(complained), 4, address_hash="third")
    _, same_household = second_message(flow, where.format(complained), 5, customer_key="other")
    flow.post([event("bounce", bounced, status="5.1.1"), event("spamreport", complained)])
    assert record() == {"bounced": 1, "spam_report": 1}
    states = dict(
        flow.warehouse.execute(
            "select message_id, state || coalesce(' ' || reason, '') from ops.outreach"
        )
    )
    assert states[same_address] == "cancelled suppressed"
    assert states[new_address] == "planned"
    assert states[same_person] == states[same_household] == "cancelled suppressed"
    assert flow.warehouse.execute(
        "select scope, reason, customer_key is null from ops.suppression order by 1"
    ) == [("address", "bounce", True), ("person", "spam_report", False)]


def test_an_objection_that_waits_in_the_inbox_counts_for_the_next_run(flow: MailFlow) -> None:
    send_unanswered(flow)
    told, planned = second_message(flow, "state = 'accepted'", 2)
    flow.warehouse.execute("truncate pii.webhook_inbox")
    assert flow.post([event("spamreport", told)]) == 204
    run_task_outreach(flow)
    assert flow.warehouse.execute(
        "select state, reason from ops.outreach where message_id = %s", (planned,)
    ) == [("cancelled", "suppressed")]


def test_an_objection_that_comes_while_a_run_sends_counts_for_its_next_request(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = second_message(flow, "state = 'planned'", 2)
    configure(flow, monkeypatch, send_batch_size=1)
    n, sending, told = n_planned(flow), SendGridTransport.send, []

    def send_and_tell(self: SendGridTransport, body: Any) -> Any:
        outcome = sending(self, body)
        for each in both:
            if str(each) in str(body):
                told.append(each)
                assert flow.post([event("spamreport", each)]) == 204
        return outcome

    monkeypatch.setattr(SendGridTransport, "send", send_and_tell)
    # cancelled by the objection itself, before the run would have checked
    assert send(flow)["accepted"] == n - 1
    [first] = told
    assert flow.warehouse.execute(
        "select state, reason from ops.outreach where message_id = any(%s) and message_id <> %s",
        (list(both), first),
    ) == [("cancelled", "suppressed")]


@pytest.mark.parametrize("is_read_by_the_other", [True, False], ids=["read", "left unread"])
def test_an_objection_that_another_worker_is_reading_is_waited_for(
    flow: MailFlow, is_read_by_the_other: bool
) -> None:
    n = n_planned(flow)
    message_id, planned = second_message(flow, "state = 'planned'", 2)
    assert flow.post([event("spamreport", message_id)]) == 204
    with ThreadPoolExecutor(1) as pool:
        with warehouse.connect("sender") as other:
            [(inbox_id, body)] = other.execute(
                "select inbox_id, body from pii.webhook_inbox for update"
            ).fetchall()
            before = flow.sandbox.counts()["requests"]
            sending = pool.submit(send, flow)
            wait_for_a_lock(flow)
            if is_read_by_the_other:
                told, _ = read_batch(bytes(body), datetime.now(UTC))
                apply(other, told)
                other.execute(
                    "update pii.webhook_inbox set processed_at = now(), body = null"
                    " where inbox_id = %s",
                    (inbox_id,),
                )
            assert flow.sandbox.counts()["requests"] == before
            if not is_read_by_the_other:
                other.rollback()
        assert sending.result(timeout=60)["accepted"] == n - 1
    states = dict(
        flow.warehouse.execute("select message_id, state || ' ' || reason from ops.outreach")
    )
    assert states[message_id] == states[planned] == "cancelled suppressed"


def test_nothing_is_sent_while_a_worker_stands_still_over_the_inbox(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winback.record.events.LONGEST_WAIT", "100ms")
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    assert flow.post([event("spamreport", flow.message()[0])]) == 204
    with warehouse.connect("sender") as other:
        other.execute("select 1 from pii.webhook_inbox for update")
        with pytest.raises(ServerError, match="look for a worker that stands still"):
            send(flow)
        assert flow.sandbox.counts()["requests"] == before
        assert flow.states() == {"planned": n}
    assert send(flow)["accepted"] == n - 1


def test_each_word_of_the_provider_suppresses_whom_it_should(flow: MailFlow) -> None:
    send_unanswered(flow)
    told: dict[tuple[str, str], tuple[str, str] | None] = {
        ("bounce", ""): ("address", "bounce"),
        ("bounce", "blocked"): None,
        ("blocked", ""): None,
        ("dropped", "Bounced Address"): ("address", "dropped"),
        ("dropped", "Unsubscribed Address"): ("person", "unsubscribe"),
        ("dropped", "Spam Reporting Address"): ("person", "spam_report"),
        ("spamreport", ""): ("person", "spam_report"),
        ("unsubscribe", ""): ("person", "unsubscribe"),
        ("group_unsubscribe", ""): ("person", "unsubscribe"),
        ("deferred", ""): None,
        ("open", ""): None,
    }
    rows = flow.warehouse.execute("select message_id from ops.outreach order by message_id")
    assert len(rows) >= len(told)
    events, expected = [], set()
    for ((word, more), suppresses), (message_id,) in zip(told.items(), rows, strict=False):
        events.append(event(word, message_id, type=more, reason=more))
        if suppresses is not None:
            expected.add((message_id, *suppresses))
    flow.post(events)
    record()
    found = flow.warehouse.execute("select message_id, scope, reason from ops.suppression")
    assert (set(found), len(found)) == (expected, len(expected))


def test_who_unsubscribes_again_is_on_record_with_the_newer_time(flow: MailFlow) -> None:
    send_unanswered(flow)
    message_id, *_ = flow.message()
    assert unsubscribe(message_id)
    flow.warehouse.execute("update ops.suppression set suppressed_at = '2026-01-01'")
    assert unsubscribe(message_id)
    assert flow.warehouse.execute(
        "select suppressed_at::date::text, renewed_at > now() - interval '1 hour'"
        " from ops.suppression"
    ) == [("2026-01-01", True)]


def test_an_unsubscribe_by_link_or_event_stops_what_is_planned_and_claimed(flow: MailFlow) -> None:
    send_unanswered(flow)
    message_id, planned = second_message(flow, "state = 'accepted'", 2)
    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
    assert [claim.message_id for claim in claims] == [planned]
    url = f"{flow.web_url}/winback/unsubscribe/{token(message_id)}"
    page = httpx.get(url, trust_env=False, headers={"Accept-Language": "de-AT,de;q=0.9"})
    assert (page.status_code, "Abbestellen" in page.text) == (200, True)
    assert "Unsubscribe" in httpx.get(url, trust_env=False).text
    # mail scanners open every link: that must change nothing
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(0,)]
    assert flow.states()["claimed"] == 1
    one_click = {"List-Unsubscribe": "One-Click"}
    for _ in range(2):
        assert httpx.post(url, data=one_click, trust_env=False).status_code == 200
    assert flow.warehouse.execute("select scope, reason, message_id from ops.suppression") == [
        ("person", "unsubscribe", message_id)
    ]
    assert flow.states()["cancelled"] == 1
    with warehouse.connect("sender") as connection:
        assert send_ledger.mark_dispatching(connection, claims, settings()) == []
    other, _ = second_message(flow, f"state = 'accepted' and message_id <> '{message_id}'", 2)
    flow.post([event("group_unsubscribe", other)])
    record()
    assert flow.states()["cancelled"] == 2


def test_who_objects_leaves_the_lists_with_the_next_record_step(flow: MailFlow) -> None:
    n = send_unanswered(flow)
    path, n_people = write_list(settings().home / "lists", CAMPAIGN, AS_OF)
    assert n_people == n
    assert record().total() == 0
    (clicked, by_click), (told, by_event), (_, by_shop), (_, long_ago) = flow.warehouse.execute(
        "select message_id, customer_key from ops.outreach order by message_id limit 4"
    )
    objected = "update raw.customers set objected_at = %s where customer_key = %s"
    flow.warehouse.execute(objected, (AS_OF - timedelta(days=9), by_shop))
    # who has agreed since
    flow.warehouse.execute(objected, (AS_OF - timedelta(days=900), long_ago))
    url = f"{flow.web_url}/winback/unsubscribe/{token(clicked)}"
    assert httpx.post(url, trust_env=False).status_code == 200
    flow.post([event("spamreport", told)])
    assert by_click in path.read_text(encoding="utf-8")
    record()
    left = path.read_text(encoding="utf-8")
    assert by_click not in left
    assert by_event not in left
    assert by_shop not in left
    assert long_ago in left
    assert len(left.splitlines()) == n - 3 + 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_unknown_or_altered_links_are_not_found(flow: MailFlow) -> None:
    stranger = token(uuid4())
    altered = token(flow.message()[0])[:-1] + "x"
    # what carries our signature was ours once
    for text, status in {stranger: 410}.items() | dict.fromkeys(
        (altered, "x", "%00", "%ff", "a" * 5000), 404
    ).items():
        url = f"{flow.web_url}/winback/unsubscribe/{text}"
        assert httpx.post(url, trust_env=False).status_code == status, text
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(0,)]


def test_who_objects_to_a_message_that_the_ledger_lost_is_suppressed(flow: MailFlow) -> None:
    n = flow.states()["planned"]
    _, customer_key, hashed = flow.message()
    [(email,)] = flow.warehouse.execute(
        "select email from pii.customers where customer_key = %s", (customer_key,)
    )
    assert hashed == address_hash("email", email)
    flow.post(
        [
            event("spamreport", uuid4(), email=email.upper()),
            event("bounce", "no id", email="else@example.com"),
        ]
    )
    record()
    # the person as well, under whatever address they have later
    assert flow.warehouse.execute(
        "select address_hash, scope, reason, customer_key from ops.suppression order by scope"
    ) == [
        (hashed, "address", "spam_report", None),
        (hashed, "person", "spam_report", customer_key),
    ]
    assert flow.states() == {"planned": n - 1, "cancelled": 1}


def test_a_click_during_the_record_step_waits_instead_of_locking_it_up(flow: MailFlow) -> None:
    send_unanswered(flow)
    message_id, planned = second_message(flow, "state = 'accepted'", 2)
    with ThreadPoolExecutor(1) as pool:
        with warehouse.connect("sender") as connection:
            suppression.lock(connection, [message_id])
            click = pool.submit(unsubscribe, message_id)
            wait_for_a_lock(flow)
            # what the step record does next; the click must hold nothing that this needs
            suppression.suppress(connection, [message_id], "person", "unsubscribe")
        assert click.result(30)
    assert flow.states()["cancelled"] == 1
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(1,)]
    assert planned != message_id


def test_an_objection_that_commits_while_the_last_check_waits_for_it_is_heeded(
    flow: MailFlow,
) -> None:
    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
    objecting = claims[len(claims) // 2].message_id

    def check() -> list[Checked]:
        with warehouse.connect("sender") as connection:
            return last_check.check(
                connection, claims, CAMPAIGN, flow.snapshot_id, AS_OF, settings()
            )

    with ThreadPoolExecutor(1) as pool:
        with warehouse.connect("webhook") as connection:
            suppression.lock(connection, [objecting])
            suppression.suppress(connection, [objecting], "person", "unsubscribe")
            checking = pool.submit(check)
            wait_for_a_lock(flow)
        checked = checking.result(30)
    assert flow.states()["cancelled"] == 1
    assert {each.claim for each in checked if each.recipient} == {
        each for each in claims if each.message_id != objecting
    }


def test_two_workers_with_the_same_events_do_not_wait_for_each_other_for_ever(
    flow: MailFlow,
) -> None:
    send_unanswered(flow)
    rows = flow.warehouse.execute("select message_id from ops.outreach order by message_id")
    events = [event(word, m) for (m,) in rows for word in ("delivered", "unsubscribe")]
    for seed in range(12):
        Random(seed).shuffle(events)  # noqa: S311 - an order, no secret
        flow.post(events)
    with ThreadPoolExecutor(6) as pool:
        clicks = [
            pool.submit(
                httpx.post,
                f"{flow.web_url}/winback/unsubscribe/{token(m)}",
                trust_env=False,
                timeout=30,
            )
            for (m,) in rows
        ]
        done = [worker.result() for worker in [pool.submit(record) for _ in range(4)]]
    assert {click.result().status_code for click in clicks} == {200}
    assert sum(each.total() for each in done) == len(events)
    assert flow.states() == {"delivered": len(rows)}
    assert {problem for _, problem, _, _ in flow.inbox()} == {None}
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(len(rows),)]
