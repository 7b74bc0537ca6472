"""The step record behind the real web app: signed batches become states, in any order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx
import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, event, mail_flow, send_unanswered
from winback.outreach import ledger as send_ledger
from winback.outreach.dispatch import outreach
from winback.record import webhook
from winback.record.events import apply, record
from winback.record.vocabulary import read_batch
from winback.sandbox.signing import Signer, new_private_key
from winback.settings import settings
from winback.warehouse import connection as warehouse


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


def rows_of(flow: MailFlow) -> list[tuple[Any, ...]]:
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
    assert (
        flow.warehouse.execute("select count(*) from ops.suppression where reason = 'unsubscribe'")
        == clicked
    )


def test_46_times_the_same_events_in_any_order_change_nothing(flow: MailFlow) -> None:
    send_unanswered(flow)
    rows = flow.warehouse.execute("select message_id from ops.outreach order by message_id")
    events = [event("processed", m) for (m,) in rows] + [event("delivered", m) for (m,) in rows]
    events += [event("bounce", rows[0][0], status="5.1.1"), event("spamreport", rows[1][0])]
    assert flow.post(events) == 204
    assert record().total() == len(events)
    settled = rows_of(flow), flow.warehouse.execute("select * from ops.suppression order by 1")
    assert (flow.states()["bounced"], len(settled[1])) == (1, 2)
    shuffle = Random(7)  # noqa: S311 - an order, no secret
    for _ in range(46):
        shuffle.shuffle(events)
        assert flow.post(events + events[:5]) == 204
    assert record().total() == 0
    assert (
        rows_of(flow),
        flow.warehouse.execute("select * from ops.suppression order by 1"),
    ) == settled
    assert len(flow.inbox()) == 47


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_events_does_not_matter(flow: MailFlow, seed: int) -> None:
    send_unanswered(flow)
    message_id, *_ = flow.message()
    words = ["processed", "deferred", "delivered", "open", "bounce"]
    Random(seed).shuffle(words)  # noqa: S311 - an order, no secret
    for word in words:
        flow.post([event(word, message_id, status="5.1.1")])
    record()
    assert flow.states()["bounced"] == 1


@pytest.mark.parametrize(
    ("last", "state"), [("bounce", "bounced"), ("dropped", "dropped"), ("delivered", "delivered")]
)
def test_no_event_leads_back_from_where_a_message_ended(
    flow: MailFlow, last: str, state: str
) -> None:
    n = send_unanswered(flow)
    message_id, *_ = flow.message()
    flow.post([event(last, message_id)])
    record()
    words = ["processed", "deferred", "delivered", "open", "click", "dropped", "spamreport"]
    for word in words:
        flow.post([event(word, message_id)])
    assert record().total() == len(words)
    assert flow.states() == {"accepted": n - 1, state: 1}
    assert {problem for _, problem, _, _ in flow.inbox()} == {None}


def test_an_event_may_come_before_our_own_commit(flow: MailFlow) -> None:
    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
        claims = send_ledger.mark_dispatching(connection, claims, settings())
    first, second, third = (claim.message_id for claim in claims[:3])
    flow.post([event("delivered", first), event("bounce", second), event("processed", third)])
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
    with warehouse.connect("sender") as connection:
        claims = send_ledger.claim(connection, CAMPAIGN, "test", settings())
        send_ledger.mark_dispatching(connection, claims, settings())
    record()
    assert flow.states() == {"dispatching": len(claims)}
    flow.end_leases()
    record()
    assert flow.states() == {"unknown": len(claims)}


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
    assert flow.inbox() == []
    assert flow.post(body) == 204
    assert len(flow.inbox()) == 1
    configure(flow, monkeypatch, sendgrid_webhook_key="")
    assert flow.post(body) == 503
    assert len(flow.inbox()) == 1


def test_a_key_takes_the_place_of_another_while_batches_come(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = settings().sendgrid_webhook_key
    new = Signer(new_private_key()).public_key()
    for keys, status in ((f"{old},{new}", 204), (f"{new},{old}", 204), (new, 403)):
        configure(flow, monkeypatch, sendgrid_webhook_key=keys)
        assert flow.post(b"[]") == status
    assert len(flow.inbox()) == 2


def test_a_processed_batch_is_wiped_and_a_broken_one_is_kept_and_holds_up_nobody(
    flow: MailFlow,
) -> None:
    send_unanswered(flow)
    (first, *_), (second, *_) = flow.warehouse.execute(
        "select message_id from ops.outreach order by message_id limit 2"
    )
    assert flow.post(b"this is no JSON") == 204
    assert flow.post(b"[" * 100_000) == 204
    assert flow.post([event("delivered", first), "a string", None]) == 204  # type: ignore[list-item]
    nul = event("delivered", second, sg_event_id="a\0b", status="\ud800")
    assert flow.post([nul, event("\0", second), event("open", "\0")]) == 204
    assert record() == {"delivered": 2, "other": 1, "opened": 1}
    assert flow.inbox() == [
        (0, "the batch can not be read: JSONDecodeError", False, True),
        (0, "the batch can not be read: ValueError", False, True),
        (1, "2 entries are no events, or object for an address that is no text", False, True),
        (3, None, True, True),
    ]
    assert flow.states()["delivered"] == 2


def test_a_batch_that_the_warehouse_refuses_is_kept_whole_and_holds_up_nobody(
    flow: MailFlow,
) -> None:
    n = send_unanswered(flow)
    message_id, *_ = flow.message()
    flow.warehouse.execute("alter table ops.event add constraint broken check (kind <> 'clicked')")
    try:
        flow.post([event("bounce", message_id), event("click", message_id)])
        flow.post([event("delivered", message_id)])
        assert record() == {"delivered": 1}
    finally:
        flow.warehouse.execute("alter table ops.event drop constraint broken")
    assert flow.inbox() == [
        (0, "the batch can not be read: CheckViolation", False, True),
        (1, None, True, True),
    ]
    assert flow.states() == {"accepted": n - 1, "delivered": 1}
    # once the fault is mended, a person lets the kept batch be read again
    flow.warehouse.execute("update pii.webhook_inbox set processed_at = null where n_events = 0")
    assert record() == {"bounced": 1, "clicked": 1}
    assert flow.states() == {"accepted": n - 1, "bounced": 1}
    assert {row[2] for row in flow.inbox()} == {True}


def test_an_event_of_a_message_that_was_never_sent_is_kept_and_moves_nothing(
    flow: MailFlow,
) -> None:
    n = flow.states()["planned"]
    message_id, *_ = flow.message()
    now = datetime.now(UTC)
    with warehouse.connect("sender") as connection:
        for word in ("processed", "delivered", "bounce", "dropped"):
            body = json.dumps([event(word, message_id)]).encode()
            apply(connection, read_batch(body, now)[0])
    # nothing was sent: such events are kept, and the bounce suppresses, but the plan is ours
    assert flow.states() == {"planned": n - 1, "cancelled": 1}
