"""Sending stops by itself when too many messages bounce or are reported as spam.

Those of a campaign, or of all mail together: mailbox providers know the sender alone. The sums are
kept as they arise, in rows that are only added: workers and the step record never wait for each
other, and a look costs the same however much was sent. What stopping means is `campaign_state.py`.
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

# Until its time has come, a message that waits at the provider has proved nothing.
_SENT_AT = "greatest(o.accepted_at, o.send_at)"
# Only what was sent since the last resume: whoever resumed knows of what came before.
_RESUMED = """
coalesce((
    select max(decided_at) from ops.outreach_decision
    where campaign_id = {campaign} and decision = 'resume'
), '-infinity')
"""

_COUNT_EVENTS = f"""
insert into ops.delivery_tally (campaign_id, sent_at, n_accepted, n_bounced, n_spam_reports)
select
    o.campaign_id, {_SENT_AT}, count(*) filter (where told.is_taken),
    count(*) filter (where told.has_bounced), count(*) filter (where told.is_spam)
from unnest(%s::uuid[], %s::boolean[], %s::boolean[], %s::boolean[])
    as told (message_id, is_taken, has_bounced, is_spam)
inner join ops.outreach as o using (message_id)
where {_SENT_AT} >= {_RESUMED.format(campaign="o.campaign_id")}
group by 1, 2
"""  # noqa: S608 - constants

_UNCOUNT = f"""
insert into ops.delivery_tally (campaign_id, sent_at, n_accepted)
select o.campaign_id, {_SENT_AT}, -count(*)
from ops.outreach as o
where o.message_id = any(%s) and {_SENT_AT} >= {_RESUMED.format(campaign="o.campaign_id")}
group by 1, 2
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
    on t.campaign_id = c.campaign_id
    and t.sent_at >= {_RESUMED.format(campaign="c.campaign_id")} and t.sent_at <= now()
inner join (values (false), (true)) as recent (is_recent)
    on not recent.is_recent or t.sent_at >= now() - make_interval(days => %(recent)s)
where c.state = 'running' and c.campaign_id = coalesce(%(campaign)s, c.campaign_id)
group by 1, 2
order by 1, 2
"""  # noqa: S608 - constants

# whoever resumed any campaign knows of all that came before
_SUMS_OF_SENDER = """
with since as (
    select greatest(
        now() - make_interval(days => %(recent)s),
        (select max(decided_at) from ops.outreach_decision where decision = 'resume')
    ) as moment
),
asked as (
    select r.state, exists (
        select 1 from ops.event as e
        where e.opt_in_request_id = r.request_id and e.kind = 'bounced'
    ) as has_bounced, exists (
        select 1 from ops.event as e
        where e.opt_in_request_id = r.request_id and e.kind = 'spam_report'
    ) as is_spam
    from ops.opt_in_request as r
    inner join since on r.requested_at >= since.moment
    where r.state in ('accepted', 'delivered', 'bounced', 'dropped')
),
counted as (
    select n_accepted, n_bounced, n_spam_reports from ops.delivery_tally
    where sent_at >= (select moment from since) and sent_at <= now()
    union all
    select count(*), count(*) filter (where has_bounced), count(*) filter (where is_spam)
    from asked
)
select sum(n_accepted)::bigint, sum(n_bounced)::bigint, sum(n_spam_reports)::bigint from counted
"""

_RUNNING = """
select campaign_id from ops.campaign
where state = 'running' and campaign_id = coalesce(%(campaign)s, campaign_id) order by campaign_id
"""


@dataclass(frozen=True)
class Told:
    """What became of accepted messages.

    Attributes:
        n_accepted: How many the provider took, and has sent by now.
        n_bounced: How many of them met a dead address.
        n_spam_reports: How many of them were reported as spam.
    """

    n_accepted: int
    n_bounced: int
    n_spam_reports: int


def trouble(told: Told, config: Settings) -> str | None:
    """Why sending has to stop, with its figures; None when it may go on.

    Few messages are judged as if the others of the first `stop_after_messages` were to go well, so
    that one bounce of three says nothing, and enough for all of those stop at once.

    Args:
        told: What became of the messages.
        config: The thresholds, and how many messages they are meant for at least.
    """
    if told.n_accepted < 1:
        return None
    n = max(told.n_accepted, config.stop_after_messages)
    if told.n_bounced and 100 * told.n_bounced / n >= config.stop_at_bounce_pct:
        return (
            f"{_share(told.n_bounced, told, 'bounced', config.stop_at_bounce_pct)}: find out where"
            " these addresses come from and take the dead ones out of the source"
        )
    reported = 100 * told.n_spam_reports / n
    if told.n_spam_reports >= FEWEST_SPAM_REPORTS and reported >= config.stop_at_spam_report_pct:
        limit_pct = config.stop_at_spam_report_pct
        return (
            f"{_share(told.n_spam_reports, told, 'were reported as spam', limit_pct)}: look at"
            " what the mail says and how these people agreed to it"
        )
    return None


def _share(n: int, told: Told, what: str, limit_pct: float) -> str:
    share = f"{100 * n / told.n_accepted:.2f} %, the limit is {limit_pct:g} %"
    return f"{n:,} of {told.n_accepted:,} messages {what} ({share})"


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
    values = {"recent": RECENT_DAYS, "campaign": campaign}
    recently = f"in the last {RECENT_DAYS} days, "
    reasons: dict[str, str] = {}
    for name, is_recent, *figures in connection.execute(_SUMS, values).fetchall():
        if reason := trouble(Told(*figures), config):
            reasons.setdefault(name, f"{recently if is_recent else ''}{reason}")
    [of_all] = connection.execute(_SUMS_OF_SENDER, values).fetchall()
    if reason := trouble(Told(*of_all), config):
        for (name,) in connection.execute(_RUNNING, values).fetchall():
            reasons.setdefault(name, f"{recently}of all mail together, {reason}")
    campaign_state.stop(
        connection,
        {
            name: f"{reason}; then {campaign_state.RESUME} {name}"
            for name, reason in reasons.items()
        },
    )
    for name, reason in sorted(reasons.items()):
        log.error("campaign %s is stopped: %s", name, reason)
