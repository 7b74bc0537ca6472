"""Addresses that heard nothing from us for long are written to in portions that grow day by day.

Mailbox providers distrust a sender who suddenly writes to thousands of old addresses, and many of
those are dead. A sender has one name, however many campaigns there are: a portion is for all of
them. Which messages wait is decided when they are planned, how many of them may go when they are
claimed (`ledger.py`), by the database's clock and the business day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from winback.settings import Settings

# beyond it, doubling says nothing any more
LARGEST_PORTION = 1_000_000_000

# for about so long mailbox providers remember how much a sender writes
REMEMBERED_DAYS = 30

# A table of its own, with statistics: by those of the ledger, nothing was accepted yet.
_REACHED = """
create temporary table reached on commit drop as
select address_hash from ops.outreach
where accepted_at > now() - make_interval(days => %(dormant_after_days)s)
    and state not in ('bounced', 'dropped')
union
select address_hash from ops.opt_in_request
where state in ('accepted', 'delivered')
    and requested_at > now() - make_interval(days => %(dormant_after_days)s)
"""

TODAY = "(clock_timestamp() at time zone %(zone)s)::date"

_NEWEST = f"""
select day, portion, n_taken, was_stopped, begun_at, day = {TODAY} as is_today
from ops.ramp_up_day
where day > {TODAY} - {REMEMBERED_DAYS} and (n_taken > 0 or day = {TODAY})
order by day desc limit 1
"""  # noqa: S608 - constants

# what is claimed still when the day is over does not leave by its portion, whoever holds it
_NOT_LEFT = """
select count(*) from ops.outreach
where is_dormant and is_pending and state = 'claimed' and portion_day = %(day)s
"""

_WROTE = """
select exists (
    select 1 from ops.outreach where is_dormant and accepted_at >= %(begun_at)s
)
"""

_BEGIN = f"""
insert into ops.ramp_up_day (day, portion) values ({TODAY}, %(portion)s)
returning day, portion, n_taken, was_stopped, begun_at, true as is_today
"""  # noqa: S608 - constants

_TAKE = "update ops.ramp_up_day set n_taken = n_taken + %(n)s where day = %(day)s"

# days on which nothing was taken say nothing about the next portion
_NOTE_STOP = """
update ops.ramp_up_day set was_stopped = true
where day >= coalesce((select max(day) from ops.ramp_up_day where n_taken > 0), '-infinity')
"""

# a run sends the campaigns one after the other, by name: the first to come take of the portion
_READ = f"""
with newest as ({_NEWEST}),
today as (
    select coalesce(max(portion), %(first_portion)s) as portion,
        coalesce(max(n_taken) filter (where is_today), 0) as n_taken
    from newest
),
held as (
    select campaign_id, count(*) as n_held_back from ops.outreach
    where is_dormant and is_pending and state = 'planned' group by campaign_id
),
in_turn as (
    select held.campaign_id, held.n_held_back, coalesce(
        sum(held.n_held_back) filter (where c.state = 'running') over (
            order by held.campaign_id rows between unbounded preceding and 1 preceding
        ), 0
    ) as n_before
    from held
    inner join ops.campaign as c using (campaign_id)
)
select campaign_id, n_held_back, today.portion,
    greatest(0, least(
        n_held_back, n_before + n_held_back - today.portion + today.n_taken
    ))::bigint as n_for_later
from in_turn
cross join today
order by campaign_id
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Left:
    """What is left of a day's portion, at least one."""

    day: date
    n_left: int


@dataclass(frozen=True)
class HeldBack:
    """What waits for a portion.

    Attributes:
        campaign_id: Of which campaign.
        n_held_back: How many messages wait, today's portion included.
        portion: Today's, for all campaigns; before the first claim of the day, at least so many.
        n_for_later: How many of them can not leave today, when those that run go before it.
    """

    campaign_id: str
    n_held_back: int
    portion: int
    n_for_later: int


def next_portion(portion: int, *, was_used_up: bool, was_stopped: bool) -> int:
    """What a day may take after a day with `portion`: twice as much, once that was proved safe.

    Args:
        portion: Of the last day with one.
        was_used_up: All of it left. A day with few to write to proves nothing about more.
        was_stopped: A campaign was stopped since that day began.
    """
    return min(2 * portion, LARGEST_PORTION) if was_used_up and not was_stopped else portion


def find_reached(connection: psycopg.Connection, config: Settings) -> None:
    """Makes the temporary table `reached`: the addresses that are not dormant.

    Args:
        connection: As the sender, in the transaction of a selection.
        config: After how many days an address is dormant.
    """
    connection.execute(_REACHED, {"dormant_after_days": config.dormant_after_days})
    connection.execute("analyze reached")


def left_today(
    connection: psycopg.Connection, campaign: str, config: Settings, passed: int = 0
) -> Left | None:
    """How many more dormant addresses may be claimed today, of whatever campaign.

    Until the caller commits, nobody else can take of the portion.

    Args:
        connection: As the sender.
        campaign: The campaign.
        config: First portion, and the time zone of business days.
        passed: Up to which `claim_order` nobody needs to look.

    Returns:
        None when nothing waits, or when the portion is used up.
    """
    waiting = connection.execute(
        # in the order of the index: in that of the table it may lie at the end
        "select 1 from ops.outreach where campaign_id = %s and is_dormant"
        " and is_pending and state = 'planned' and claim_order > %s order by claim_order limit 1",
        (campaign, passed),
    ).fetchone()
    if waiting is None:
        return None
    lock(connection)
    today = _today(connection, config)
    n_left = today.portion - today.n_taken
    return Left(today.day, n_left) if n_left else None


def lock(connection: psycopg.Connection) -> None:
    """Keeps others from taking of the portions until the caller commits."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('ops.ramp_up_day', 1))")


def take(connection: psycopg.Connection, day: date, n: int) -> None:
    """Counts claims against the portion that `left_today` has locked.

    The database gives one back whenever a message loses its `portion_day`.
    """
    connection.execute(_TAKE, {"day": day, "n": n})


def note_stop(connection: psycopg.Connection) -> None:
    """Remembers that a campaign was stopped after the newest portion; the caller commits."""
    connection.execute(_NOTE_STOP)


def read_held_back(connection: psycopg.Connection, config: Settings) -> dict[str, HeldBack]:
    """What waits for a portion, by campaign.

    Args:
        connection: As the sender or the web app.
        config: First portion, and the time zone of business days.
    """
    values = {"zone": config.business_timezone, "first_portion": config.ramp_up_first_portion}
    with connection.cursor(row_factory=class_row(HeldBack)) as cursor:
        return {each.campaign_id: each for each in cursor.execute(_READ, values)}


@dataclass(frozen=True)
class _Day:
    day: date
    portion: int
    n_taken: int
    was_stopped: bool
    begun_at: datetime
    is_today: bool


def _today(connection: psycopg.Connection, config: Settings) -> _Day:
    """Today's row, made if need be; the portions are locked."""
    zone = {"zone": config.business_timezone}
    with connection.cursor(row_factory=class_row(_Day)) as cursor:
        newest = cursor.execute(_NEWEST, zone).fetchone()
    if newest is not None and newest.is_today:
        return newest
    portion = config.ramp_up_first_portion
    if newest is not None:
        values = {"begun_at": newest.begun_at, "day": newest.day}
        [(n_not_left,)] = connection.execute(_NOT_LEFT, values).fetchall()
        was_used_up = newest.n_taken - n_not_left >= newest.portion and connection.execute(
            _WROTE, values
        ).fetchone() == (True,)
        portion = next_portion(
            newest.portion, was_used_up=was_used_up, was_stopped=newest.was_stopped
        )
    with connection.cursor(row_factory=class_row(_Day)) as cursor:
        begun = cursor.execute(_BEGIN, {**zone, "portion": portion}).fetchone()
    assert begun is not None
    return begun
