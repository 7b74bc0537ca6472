"""Sending stops by itself when too many messages bounce or are reported as spam.

The sums are kept as they arise, in rows that are only added: workers and the step record never
wait for each other, and a look costs the same however much was sent. What stopping means is
`campaign_state.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import psycopg

from winback.outreach import campaign_state
from winback.settings import Settings

log = logging.getLogger(__name__)

# a single report may be a slip of the finger
FEWEST_SPAM_REPORTS = 2
# a campaign that runs for years would dilute what goes wrong today
RECENT_DAYS = 7

# Only what was accepted since the last resume: whoever resumed knows of what came before.
_RESUMED = """
coalesce((
    select max(decided_at) from ops.outreach_decision
    where campaign_id = {campaign} and decision = 'resume'
), '-infinity')
"""

_COUNT_EVENTS = f"""
insert into ops.delivery_tally (campaign_id, n_accepted, n_bounced, n_spam_reports)
select
    o.campaign_id, count(*) filter (where told.is_taken),
    count(*) filter (where told.has_bounced), count(*) filter (where told.is_spam)
from unnest(%s::uuid[], %s::boolean[], %s::boolean[], %s::boolean[])
    as told (message_id, is_taken, has_bounced, is_spam)
inner join ops.outreach as o using (message_id)
where o.accepted_at >= {_RESUMED.format(campaign="o.campaign_id")}
group by o.campaign_id
"""  # noqa: S608 - constants

_UNCOUNT = f"""
insert into ops.delivery_tally (campaign_id, n_accepted)
select o.campaign_id, -count(*)
from ops.outreach as o
where o.message_id = any(%s) and o.accepted_at >= {_RESUMED.format(campaign="o.campaign_id")}
group by o.campaign_id
"""  # noqa: S608 - constants

_TOLD_BEFORE = """
select distinct message_id, kind from ops.event
where message_id = any(%s) and kind in ('bounced', 'spam_report') and recorded_at < now()
"""

_SUMS = f"""
select
    c.campaign_id, recent.is_recent, sum(t.n_accepted)::bigint, sum(t.n_bounced)::bigint,
    sum(t.n_spam_reports)::bigint
from ops.campaign as c
inner join ops.delivery_tally as t
    on t.campaign_id = c.campaign_id and t.counted_at >= {_RESUMED.format(campaign="c.campaign_id")}
inner join (values (false), (true)) as recent (is_recent)
    on not recent.is_recent or t.counted_at >= now() - make_interval(days => %(recent)s)
where c.state = 'running' and c.campaign_id = coalesce(%(campaign)s, c.campaign_id)
group by 1, 2
order by 1, 2
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Told:
    """What became of the accepted messages of a campaign.

    Attributes:
        n_accepted: How many the provider took.
        n_bounced: How many of them met a dead address.
        n_spam_reports: How many of them were reported as spam.
    """

    n_accepted: int
    n_bounced: int
    n_spam_reports: int


def trouble(told: Told, config: Settings) -> str | None:
    """Why a campaign has to stop, with its figures; None when it may go on.

    Args:
        told: What became of its messages.
        config: The thresholds, and how many messages have to be accepted before they count.
    """
    if told.n_accepted < config.stop_after_messages:
        return None
    bounced = 100 * told.n_bounced / told.n_accepted
    if told.n_bounced and bounced >= config.stop_at_bounce_pct:
        return (
            f"{told.n_bounced:,} of {told.n_accepted:,} messages bounced ({bounced:.2f} %,"
            f" the limit is {config.stop_at_bounce_pct:g} %): find out where these addresses come"
            " from and take the dead ones out of the source"
        )
    reported = 100 * told.n_spam_reports / told.n_accepted
    if told.n_spam_reports >= FEWEST_SPAM_REPORTS and reported >= config.stop_at_spam_report_pct:
        return (
            f"{told.n_spam_reports:,} of {told.n_accepted:,} messages were reported as spam"
            f" ({reported:.2f} %, the limit is {config.stop_at_spam_report_pct:g} %): look at what"
            " the mail says and how these people agreed to it"
        )
    return None


def count_events(
    connection: psycopg.Connection,
    taken: Collection[UUID],
    bounced: Collection[UUID],
    spam: Collection[UUID],
) -> None:
    """Adds what a batch of events told; the caller commits it with the events.

    Args:
        connection: As the sender; the events stand in `ops.event` already.
        taken: Messages that are known to be accepted only by these events.
        bounced: Messages with a hard bounce.
        spam: Messages that were reported as spam.
    """
    ids = sorted({*taken, *bounced, *spam})
    if not ids:
        return
    before = set(connection.execute(_TOLD_BEFORE, (ids,)).fetchall())
    connection.execute(
        _COUNT_EVENTS,
        (
            ids,
            [each in taken for each in ids],
            [each in bounced and (each, "bounced") not in before for each in ids],
            [each in spam and (each, "spam_report") not in before for each in ids],
        ),
    )


def uncount(connection: psycopg.Connection, message_ids: Collection[UUID]) -> None:
    """Takes accepted messages out of the sums that the provider will not send after all.

    Those that are sent anew count when they are accepted again.

    Args:
        connection: As the sender; the messages still say when they were accepted.
        message_ids: Messages of a batch whose cancellation is confirmed.
    """
    connection.execute(_UNCOUNT, (list(message_ids),))


def stop_if_needed(
    connection: psycopg.Connection, config: Settings, campaign: str | None = None
) -> None:
    """Stops what runs and is in trouble, until a person resumes it; the caller commits.

    Args:
        connection: As the sender, in a transaction that has locked no message yet: who decides
            about a campaign locks it first and its messages then.
        config: The thresholds.
        campaign: Looks at this one alone.
    """
    rows = connection.execute(_SUMS, {"recent": RECENT_DAYS, "campaign": campaign}).fetchall()
    stopped: set[str] = set()
    for name, is_recent, *figures in rows:
        reason = trouble(Told(*figures), config)
        if reason is None or name in stopped:
            continue
        when = f"in the last {RECENT_DAYS} days, " if is_recent else ""
        campaign_state.stop(
            connection, name, f"{when}{reason}; then {campaign_state.RESUME} {name}"
        )
        stopped.add(name)
        log.error("campaign %s is stopped: %s%s", name, when, reason)
