"""Days and portions of a ramp-up, for tests of sending."""

from __future__ import annotations

from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow
from winback.outreach import ledger
from winback.settings import settings
from winback.warehouse import connection as warehouse


def next_day(flow: MailFlow) -> None:
    """Lets a day pass, as far as the portions can tell."""
    flow.warehouse.execute(
        "update ops.ramp_up_day set day = day - 1, begun_at = begun_at - interval '1 day'"
    )
    flow.warehouse.execute("update ops.outreach set portion_day = portion_day - 1")


def held_back(flow: MailFlow) -> int:
    """How many messages wait for a portion."""
    [(n,)] = flow.warehouse.execute(
        "select count(*) from ops.outreach where is_dormant and state = 'planned'"
    )
    return int(n)


def insert_dormant(flow: MailFlow, n: int, campaign: str = CAMPAIGN) -> None:
    """Plans so many messages to dormant addresses."""
    flow.warehouse.execute(
        "insert into ops.campaign (campaign_id, definition) values (%s, '{}')"
        " on conflict do nothing",
        (campaign,),
    )
    flow.warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template, is_dormant)"
        " select %s, 'l' || n, 1, 'email', 'k' || n, 'a' || n, %s, %s, 'x', true"
        " from generate_series(1, %s) as n",
        (campaign, flow.snapshot_id, AS_OF, n),
    )


def n_claimed(campaign: str) -> int:
    """Claims as somebody does; how many it got."""
    with warehouse.connect("sender") as connection:
        return len(ledger.claim(connection, campaign, "somebody", settings()))


def portions(flow: MailFlow) -> list[tuple[int, int]]:
    """Portion and what was taken of it, by day."""
    return flow.warehouse.execute("select portion, n_taken from ops.ramp_up_day order by day")
