"""Two customer numbers turn out to be one person after both were drawn by one campaign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.mail_flow import AS_OF, MailFlow, send
from winback.extract.loading.customer_merge import merge_customers
from winback.outreach.taking_back import look_again
from winback.warehouse import connection as warehouse

Merge = Callable[[str, str], None]


@pytest.fixture
def merge(flow: MailFlow) -> Iterator[Merge]:
    """The source gives the first the address and the name of the second, and the next load
    merges."""
    kept = flow.warehouse.execute("select customer_key, email_hash from raw.customers")
    people = flow.warehouse.execute(
        "select customer_key, email, first_name, last_name from pii.customers"
    )

    def merge(other: str, winner: str) -> None:
        flow.warehouse.execute(
            "update raw.customers as c set email_hash = w.email_hash,"
            " registered_at = w.registered_at + interval '1 hour' from raw.customers as w"
            " where w.customer_key = %s and c.customer_key = %s",
            (winner, other),
        )
        flow.warehouse.execute(
            "update pii.customers as p set email = w.email, first_name = w.first_name,"
            " last_name = w.last_name from pii.customers as w"
            " where w.customer_key = %s and p.customer_key = %s",
            (winner, other),
        )
        with warehouse.connect("loader") as connection:
            merge_customers(connection, AS_OF)
        assert (other, winner) in flow.warehouse.execute(
            "select customer_key, winner_key from ops.customer_merge"
        )

    yield merge
    flow.warehouse.execute("delete from ops.customer_merge")
    for key, email_hash in kept:
        flow.warehouse.execute(
            "update raw.customers set email_hash = %s where customer_key = %s", (email_hash, key)
        )
    for key, *names in people:
        flow.warehouse.execute(
            "update pii.customers set email = %s, first_name = %s, last_name = %s"
            " where customer_key = %s",
            (*names, key),
        )


def by_silence(flow: MailFlow) -> list[tuple[str, str]]:
    """Messages and customers, who bought longest ago first."""
    return flow.warehouse.execute(
        "select o.message_id, o.customer_key from ops.outreach as o inner join ops.assignment as a"
        " using (campaign_id, lapse_id) order by a.occasion_date, o.message_id"
    )


def told(flow: MailFlow, message_id: str) -> tuple[str, str | None]:
    [row] = flow.warehouse.execute(
        "select state, reason from ops.outreach where message_id = %s", (message_id,)
    )
    return row


def evidence(flow: MailFlow, customer_key: str) -> dict[str, Any]:
    """Of what the last check said."""
    [(found,)] = flow.warehouse.execute(
        "select evidence from ops.verdict where step = 'outreach' and customer_key = %s",
        (customer_key,),
    )
    return dict(found)


def test_who_was_written_to_under_one_number_is_not_under_the_other(
    flow: MailFlow, merge: Merge
) -> None:
    (first, a), (second, b), *_ = by_silence(flow)
    for state in ("claimed", "dispatching", "accepted"):
        flow.warehouse.execute(
            "update ops.outreach set state = %s, accepted_at = now() where message_id = %s",
            (state, first),
        )
    merge(a, b)
    send(flow)
    assert told(flow, second) == ("cancelled", "contacted_since")
    assert evidence(flow, b)["earlier_message"] == str(first)


def test_who_is_held_out_under_one_number_is_not_written_to_under_the_other(
    flow: MailFlow, merge: Merge
) -> None:
    [(holdout, a, message_id, b)] = flow.warehouse.execute(
        "select h.assignment_id, h.customer_key, o.message_id, o.customer_key"
        " from ops.assignment as h"
        " inner join ops.assignment as t on t.arm = 'treated' and t.occasion_date > h.occasion_date"
        " inner join ops.outreach as o on o.lapse_id = t.lapse_id"
        " where h.arm = 'holdout' order by h.occasion_date, t.occasion_date desc limit 1"
    )
    merge(a, b)
    send(flow)
    assert told(flow, message_id) == ("cancelled", "drawn_under_another_lapse")
    assert evidence(flow, b)["holdout"] == holdout


@pytest.fixture
def two_alike(flow: MailFlow) -> tuple[list[str], Callable[[], None]]:
    """Two messages of one shape to customers who bought last on the same day, and how they turn out
    to be one person: two spellings of an address, say, that were two before a setting changed."""
    rows = flow.warehouse.execute(
        "select message_id, customer_key from ops.outreach where likely_shape = ("
        " select likely_shape from ops.outreach group by 1 order by count(*) desc limit 1)"
        " order by customer_key limit 2"
    )
    messages, (a, b) = [message_id for message_id, _ in rows], [key for _, key in rows]
    day = (AS_OF, [a, b])
    flow.warehouse.execute(
        "update ops.assignment set occasion_date = %s - 200 where customer_key = any(%s)", day
    )
    flow.warehouse.execute(
        "update raw.orders set ordered_at = %s::date - 200 where customer_key = any(%s)", day
    )

    def merge() -> None:
        flow.warehouse.execute(
            "insert into ops.customer_merge (customer_key, winner_key, evidence, email_hash,"
            " merged_as_of) values (%s, %s, 'email_without_plus_part', 'x', %s)",
            (a, b, AS_OF),
        )

    return messages, merge


@pytest.mark.usefixtures("merge")
def test_of_two_messages_in_one_request_one_leaves(
    flow: MailFlow, two_alike: tuple[list[str], Callable[[], None]]
) -> None:
    messages, turn_out = two_alike
    turn_out()
    send(flow)
    fates = {told(flow, message_id): message_id for message_id in messages}
    assert set(fates) == {("accepted", None), ("cancelled", "contacted_since")}
    [(key,)] = flow.warehouse.execute(
        "select customer_key from ops.outreach where message_id = %s",
        (fates["cancelled", "contacted_since"],),
    )
    assert evidence(flow, key)["earlier_message"] == str(fates["accepted", None])


@pytest.mark.usefixtures("merge")
def test_two_that_wait_at_the_provider_become_one(
    night: MailFlow, two_alike: tuple[list[str], Callable[[], None]]
) -> None:
    messages, turn_out = two_alike
    send(night)
    assert [told(night, each)[0] for each in messages] == ["accepted", "accepted"]
    turn_out()
    look_again()
    fates = [told(night, message_id) for message_id in messages]
    assert fates.count(("cancelled", "contacted_since")) == 1
    # the other one is planned anew with its batch, or waits on
    assert {state for state, _ in fates} & {"planned", "accepted"}
