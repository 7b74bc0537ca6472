"""What customers wish: which channels, how often, and who may contact them.

Stated on the preference page, whose link carries the same token as the link to unsubscribe; every
change is a row of its own, and `ops.eligibility` heeds the newest. The page is in `web/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg

from winback.record import suppression
from winback.warehouse import connection as warehouse

CHANNELS = ("email", "phone", "letter", "ads")
# days between two messages at least: about once a month, a quarter, half a year
PAUSES = (30, 91, 182)

# of all numbers that the person is a customer under
_PERSON = """
with person as (
    select o.customer_key, coalesce(p.members, array[o.customer_key]) as members
    from ops.outreach as o
    left join ops.person as p using (customer_key)
    where o.message_id = %(message)s
),
"""

# what a source tells counts as well
_READ = f"""
{_PERSON}
said as (
    select w.channel, w.is_wanted and coalesce(w.max_per_month, 1) > 0 as is_wanted,
        ceil(30.0 / nullif(w.max_per_month, 0))::int as pause_days, w.stated_at
    from person inner join raw.contact_preferences as w on w.customer_key = any(person.members)
    where w.deleted_at is null
    union all
    select w.channel, w.is_wanted, w.pause_days, w.stated_at
    from person inner join ops.contact_preference as w on w.customer_key = any(person.members)
),

newest as (
    select *, row_number() over (partition by channel order by stated_at desc, is_wanted) as place
    from said
)

select newest.channel, newest.is_wanted, newest.pause_days,
    -- only the page asks for it, so that nothing a source tells takes it back
    coalesce((
        select w.is_by_contact_person from ops.contact_preference as w
        where w.customer_key = any(person.members)
        order by w.stated_at desc, w.is_by_contact_person desc limit 1
    ), false) as is_by_contact_person
from person
left join newest on newest.place = 1
"""  # noqa: S608 - texts of our own

_STORE = """
insert into ops.contact_preference
    (customer_key, channel, is_wanted, pause_days, is_by_contact_person, message_id)
select o.customer_key, wish.channel, wish.is_wanted, %(pause)s, %(by_contact_person)s, o.message_id
from ops.outreach as o
cross join unnest(%(channels)s::text[], %(wanted)s::boolean[]) as wish (channel, is_wanted)
where o.message_id = %(message)s
"""

_CANCEL = """
update ops.outreach as o set state = 'cancelled', reason = 'channel_not_wanted',
    settled_at = now(), fence = o.fence + 1
from ops.outreach as told
where told.message_id = %(message)s and o.customer_key = told.customer_key
    and o.state in ('planned', 'claimed') and o.channel = any(%(off)s)
"""


@dataclass(frozen=True)
class Wishes:
    """What a customer wishes.

    Attributes:
        channels: Those that may be used, if the law allows them at all.
        pause_days: So many days between two messages at least; None: no wish.
        is_by_contact_person: Only the personal contact person, and no campaign.
    """

    channels: frozenset[str] = frozenset(CHANNELS)
    pause_days: int | None = None
    is_by_contact_person: bool = False


# What the page was told last, and whether a source has told something since.
_OWN = f"""
{_PERSON}
own as (
    select w.*, row_number() over (partition by w.channel order by w.stated_at desc) as place
    from person inner join ops.contact_preference as w on w.customer_key = any(person.members)
)

select own.channel, own.is_wanted, own.pause_days, own.is_by_contact_person
from own
where own.place = 1 and not exists (
    select 1 from person
    inner join raw.contact_preferences as told on told.customer_key = any(person.members)
    where told.deleted_at is null and told.stated_at > own.stated_at
)
"""  # noqa: S608 - texts of our own


def read(message_id: UUID) -> Wishes | None:
    """The wishes of the person a message went to; None when the message is unknown, or nobody's."""
    with warehouse.connect("webhook") as connection:
        return _read(connection, message_id)


def store(message_id: UUID, wishes: Wishes) -> bool:
    """Keeps new wishes, and cancels what is planned for a channel that is not wanted.

    Returns:
        Whether the message is known. The same wishes again change nothing and are True as well.
    """
    with warehouse.connect("webhook") as connection:
        suppression.lock(connection, [message_id])
        if _read(connection, message_id) is None:
            return False
        values = {
            "message": message_id,
            "pause": wishes.pause_days,
            "by_contact_person": wishes.is_by_contact_person,
            "channels": list(CHANNELS),
            "wanted": [channel in wishes.channels for channel in CHANNELS],
            "off": [channel for channel in CHANNELS if channel not in wishes.channels],
        }
        # what a source says as well is not said on the page: the source may take it back
        own = connection.execute(_OWN, values).fetchall()
        if sorted(own) != sorted(
            (channel, channel in wishes.channels, wishes.pause_days, wishes.is_by_contact_person)
            for channel in CHANNELS
        ):
            connection.execute(_STORE, values)
        connection.execute(_CANCEL, values)
    return True


def _read(connection: psycopg.Connection, message_id: UUID) -> Wishes | None:
    if suppression.nobodys(connection, [message_id]):
        return None
    rows = connection.execute(_READ, {"message": message_id}).fetchall()
    if not rows:
        return None
    stated = [row for row in rows if row[0] is not None]
    return Wishes(
        frozenset(CHANNELS) - {channel for channel, is_wanted, *_ in stated if not is_wanted},
        # the page knows one wish for all channels; a source may tell several, and the longest holds
        max((pause for *_, pause, _ in stated if pause is not None), default=None),
        any(is_by_contact_person for *_, is_by_contact_person in rows),
    )
