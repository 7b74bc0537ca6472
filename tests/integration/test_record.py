"""The step record behind the real web app: signed batches, the unsubscribe page, the inbox."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.mail_flow import AS_OF, MailFlow, configure, mail_flow
from winback.outreach.dispatch import outreach
from winback.privacy.keyed_hash import address_hash
from winback.record import webhook
from winback.record.events import apply, record
from winback.record.unsubscribe import token
from winback.record.vocabulary import read_batch
from winback.warehouse import connection as warehouse

CAMPAIGN = "welcome_back"


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    with mail_flow(
        warehouse_factory, sandbox_factory, "--bounce-pct=30", "--spamreport-pct=15",
        "--deferred-pct=15", "--dropped-pct=30", "--unsubscribe-pct=50",
    ) as flow:  # fmt: skip
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> MailFlow:
    built.sandbox.wait_for_events()
    assert built.restart().n_planned > 10
    return built


def send(flow: MailFlow) -> int:
    """Sends all; how many were accepted. What the sandbox tells about them is left aside."""
    n = outreach(flow.snapshot_id, AS_OF)[CAMPAIGN]["accepted"]
    flow.sandbox.wait_for_events()
    flow.warehouse.execute("truncate pii.webhook_inbox")
    flow.warehouse.execute("delete from ops.suppression")
    return int(n)


def event(word: str, message_id: Any, **more: Any) -> dict[str, Any]:
    return {
        "event": word,
        "email": "somebody@example.com",
        "timestamp": int(time.time()),
        "sg_event_id": uuid4().hex,
        "message_id": str(message_id),
        **more,
    }


def inbox(flow: MailFlow) -> list[tuple[Any, ...]]:
    return flow.warehouse.execute(
        "select n_events, problem, body is null, processed_at is not null"
        " from pii.webhook_inbox order by inbox_id"
    )


def ledger(flow: MailFlow) -> list[tuple[Any, ...]]:
    return flow.warehouse.execute("select * from ops.outreach order by message_id")


def test_the_sandboxs_own_events_settle_every_message_and_suppress(flow: MailFlow) -> None:
    n = outreach(flow.snapshot_id, AS_OF)[CAMPAIGN]["accepted"]
    assert n > 10
    before = flow.states()
    flow.sandbox.wait_for_events()
    # an unsubscribe by the link in the message counts at once, the events when they are recorded
    clicked = flow.warehouse.execute("select count(*) from ops.suppression")
    assert before == flow.states() == {"accepted": n}
    record()
    states = flow.states()
    assert sum(states.values()) == n
    assert not states.keys() - {"delivered", "bounced", "dropped"}
    assert states["bounced"] + states["dropped"] > 0
    [(n_dead,)] = flow.warehouse.execute(
        "select count(distinct address_hash) from ops.suppression where scope = 'address'"
    )
    assert n_dead == states["bounced"] + states["dropped"]
    [(n_complained,)] = flow.warehouse.execute(
        "select count(*) from ops.event where kind = 'spam_report'"
    )
    assert flow.warehouse.execute(
        "select count(*) from ops.suppression where reason = 'spam_report' and scope = 'person'"
    ) == [(n_complained,)]
    assert flow.warehouse.execute(
        "select count(*) from ops.suppression where reason = 'unsubscribe'"
    ) == clicked


def test_46_times_the_same_events_in_any_order_change_nothing(flow: MailFlow) -> None:
    send(flow)
    rows = flow.warehouse.execute("select message_id from ops.outreach order by message_id")
    events = [event("processed", m) for (m,) in rows] + [event("delivered", m) for (m,) in rows]
    events += [event("bounce", rows[0][0], status="5.1.1"), event("spamreport", rows[1][0])]
    assert flow.post(events) == 204
    assert record().total() == len(events)
    settled = ledger(flow), flow.warehouse.execute("select * from ops.suppression order by 1")
    assert (flow.states()["bounced"], len(settled[1])) == (1, 2)
    shuffle = random.Random(7)
    for _ in range(46):
        shuffle.shuffle(events)
        assert flow.post(events + events[:5]) == 204
    assert record().total() == 0
    assert (
        ledger(flow),
        flow.warehouse.execute("select * from ops.suppression order by 1"),
    ) == settled
    assert len(inbox(flow)) == 47


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_events_does_not_matter(flow: MailFlow, seed: int) -> None:
    send(flow)
    message_id, *_ = flow.message()
    words = ["processed", "deferred", "delivered", "open", "bounce"]
    random.Random(seed).shuffle(words)
    for word in words:
        flow.post([event(word, message_id, status="5.1.1")])
    record()
    assert flow.states()["bounced"] == 1


def test_an_event_may_come_before_our_own_commit(flow: MailFlow) -> None:
    from winback.outreach import ledger as send_ledger
    from winback.settings import settings

    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
        claims = send_ledger.mark_dispatching(connection, claims, settings())
    first, second, third = (claim.message_id for claim in claims[:3])
    flow.post(
        [event("delivered", first), event("bounce", second), event("processed", third)]
    )
    record()
    with warehouse.connect("sender") as connection:
        send_ledger.accepted(connection, claims, "provider-1")
    states = flow.states()
    assert states == {"delivered": 1, "bounced": 1, "accepted": len(claims) - 2}
    assert flow.warehouse.execute(
        "select count(*) from ops.outreach where provider_message_id = 'provider-1'"
        " and accepted_at is not null"
    ) == [(len(claims),)]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("processed", "accepted"), ("deferred", "accepted"), ("delivered", "delivered"),
        ("open", "delivered"), ("spamreport", "delivered"), ("bounce", "bounced"),
        ("dropped", "dropped"), ("group_resubscribe", "unknown"),
    ],
)  # fmt: skip
def test_an_event_resolves_what_was_unknown(flow: MailFlow, word: str, state: str) -> None:
    from winback.outreach import ledger as send_ledger
    from winback.settings import settings

    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
        claims = send_ledger.mark_dispatching(connection, claims, settings())
        send_ledger.unknown(connection, claims, "no answer")
    flow.post([event(word, claims[0].message_id)])
    record()
    assert flow.warehouse.execute(
        "select state from ops.outreach where message_id = %s", (claims[0].message_id,)
    ) == [(state,)]
    assert flow.states()["unknown"] == len(claims) - (state != "unknown")


def test_a_dead_worker_is_settled_by_record_too(flow: MailFlow) -> None:
    from winback.outreach import ledger as send_ledger
    from winback.settings import settings

    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
        send_ledger.mark_dispatching(connection, claims, settings())
    record()
    assert flow.states() == {"dispatching": len(claims)}
    flow.end_leases()
    record()
    assert flow.states() == {"unknown": len(claims)}


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


def test_a_bounce_stops_the_address_a_complaint_the_person(flow: MailFlow) -> None:
    send(flow)
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


def test_an_unsubscribe_by_link_or_event_stops_what_is_planned_and_claimed(flow: MailFlow) -> None:
    from winback.outreach import ledger as send_ledger
    from winback.settings import settings

    send(flow)
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
    assert flow.warehouse.execute(
        "select scope, reason, message_id from ops.suppression"
    ) == [("person", "unsubscribe", message_id)]
    assert flow.states()["cancelled"] == 1
    with warehouse.connect("sender") as connection:
        assert send_ledger.mark_dispatching(connection, claims, settings()) == []
    other, _ = second_message(flow, f"state = 'accepted' and message_id <> '{message_id}'", 2)
    flow.post([event("group_unsubscribe", other)])
    record()
    assert flow.states()["cancelled"] == 2


def test_unknown_or_altered_links_are_not_found(flow: MailFlow) -> None:
    stranger = token(uuid4())
    altered = token(flow.message()[0])[:-1] + "x"
    for text in (stranger, altered, "x", "%00", "%ff", "a" * 5000):
        url = f"{flow.web_url}/winback/unsubscribe/{text}"
        assert httpx.post(url, trust_env=False).status_code == 404, text
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(0,)]


def test_who_objects_to_a_message_that_the_ledger_lost_is_suppressed_by_address(
    flow: MailFlow,
) -> None:
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
    assert flow.warehouse.execute("select address_hash, scope, reason from ops.suppression") == [
        (hashed, "address", "spam_report")
    ]
    assert flow.states() == {"planned": n - 1, "cancelled": 1}


def test_forged_old_or_oversized_batches_are_refused(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"[]"
    url = f"{flow.web_url}/winback/webhook"
    assert httpx.post(url, content=body, trust_env=False).status_code == 403
    forged = {webhook.SIGNATURE_HEADER: "AAAA", webhook.TIMESTAMP_HEADER: "9" * 400}
    assert httpx.post(url, content=body, headers=forged, trust_env=False).status_code == 403
    assert flow.post(body, age=3600) == 403
    assert flow.post(b"[" + b" " * webhook.MAX_BODY_BYTES + b"]") == 413
    assert inbox(flow) == []
    assert flow.post(body) == 204
    assert len(inbox(flow)) == 1
    configure(flow, monkeypatch, sendgrid_webhook_key="")
    assert flow.post(body) == 503
    assert len(inbox(flow)) == 1


def test_a_processed_batch_is_wiped_and_a_broken_one_is_kept_and_holds_up_nobody(
    flow: MailFlow,
) -> None:
    send(flow)
    (first, *_), (second, *_) = flow.warehouse.execute(
        "select message_id from ops.outreach order by message_id limit 2"
    )
    assert flow.post(b"this is no JSON") == 204
    assert flow.post(b"[" * 100_000) == 204
    assert flow.post([event("delivered", first), "a string", None]) == 204  # type: ignore[list-item]
    nul = event("delivered", second, sg_event_id="a\0b", status="\ud800")
    assert flow.post([nul, event("\0", second), event("open", "\0")]) == 204
    assert record() == {"delivered": 2, "other": 1, "opened": 1}
    assert inbox(flow) == [
        (0, "the batch can not be read: JSONDecodeError", False, True),
        (0, "the batch can not be read: ValueError", False, True),
        (1, "2 of 3 entries are no events", False, True),
        (3, None, True, True),
    ]
    assert flow.states()["delivered"] == 2


def test_two_workers_with_the_same_events_do_not_wait_for_each_other_for_ever(
    flow: MailFlow,
) -> None:
    send(flow)
    rows = flow.warehouse.execute("select message_id from ops.outreach order by message_id")
    events = [event(word, m) for (m,) in rows for word in ("delivered", "unsubscribe")]
    for seed in range(12):
        random.Random(seed).shuffle(events)
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
    assert sum((each.total() for each in done)) == len(events)
    assert flow.states() == {"delivered": len(rows)}
    assert {problem for _, problem, _, _ in inbox(flow)} == {None}
    assert flow.warehouse.execute("select count(*) from ops.suppression") == [(len(rows),)]


def test_events_never_move_a_message_backwards(flow: MailFlow) -> None:
    n = flow.states()["planned"]
    message_id, *_ = flow.message()
    now = datetime.now(UTC)
    import json

    with warehouse.connect("sender") as connection:
        for word in ("processed", "delivered", "bounce", "dropped"):
            body = json.dumps([event(word, message_id)]).encode()
            apply(connection, read_batch(body, now)[0])
    # nothing was sent: such events are kept, and the bounce suppresses, but the plan is ours
    assert flow.states() == {"planned": n - 1, "cancelled": 1}
