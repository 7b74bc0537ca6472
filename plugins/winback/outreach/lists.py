"""Lists for marketing: whom a campaign writes to, as a CSV file that a spreadsheet opens safely.

The file holds names and addresses, so only its owner can read it, and whoever may not be written to
any more leaves it with the next record step. Lists without personal data are the marts.
"""

from __future__ import annotations

import csv
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from winback.settings import settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

COLUMNS = (
    "customer_key", "email", "first_name", "last_name", "locale", "state", "value_tier",
    "last_purchase_date", "message_state", "is_made_up",
)  # fmt: skip
# A spreadsheet takes a cell that begins like this for a formula, full-width signs included; and one
# that was told another separator finds cells that begin in the midst of ours.
_FORMULA = re.compile(r"(^|[;,\t\r\n|])(?=\s{0,3}[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n])")
_WORD = re.compile(r"\w+")

# That somebody was written to, is part of a measurement, or came back: a list is the record
# of whom a campaign writes to, and nothing of this takes anybody off.
_NOT_AGAINST = [
    "contacted_too_recently",
    "contacted_by_another_campaign",
    "holdout_of_another_campaign",
    "returned",
]

# the same verdict as before a message, on everybody of `listed`, by what is known today
_MUST_LEAVE = """
clock as (
    -- the database's own, and that of the newest snapshot in a replay, which has to pretend
    select coalesce(newest.as_of, (now() at time zone %(zone)s)::date) as today,
        coalesce(newest.as_of::timestamp at time zone %(zone)s, now()) as known_until
    from (values (1)) as one
    left join ops.newest_snapshot as newest on %(replay)s
),

asked as (
    select distinct customer_key from listed
),

must_leave as (
    select verdict.customer_key, verdict.reasons, verdict.evidence
    from ops.eligibility(
        (select array_agg(customer_key order by customer_key) from asked),
        (select array_agg('infinity'::timestamptz) from asked),
        %(campaign)s, 'email', (select today from clock), (select known_until from clock),
        %(months)s, 0, advertisers => %(advertisers)s::text[]
    ) as verdict
    where not verdict.reasons <@ %(not_against)s
)
"""

_ROWS = f"""
with listed as (
    select o.customer_key, a.customer_state, a.stratum, a.occasion_date, o.state
    from ops.outreach as o
    inner join ops.assignment as a
        on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
    where o.campaign_id = %(campaign)s and a.as_of = %(as_of)s and o.state <> 'cancelled'
        and a.erased_at is null
        -- one row for a person, the newest, however often a message had to be sent
        and not exists (
            select 1 from ops.outreach as newer
            where newer.resend_of = o.message_id and newer.state <> 'cancelled'
        )
),

{_MUST_LEAVE}

select listed.customer_key, person.email, person.first_name, person.last_name, customers.locale,
    listed.customer_state, listed.stratum, listed.occasion_date, listed.state,
    -- a list of a demo must not pass for one of real people who agreed
    (select coalesce(bool_or(feed.is_made_up), false)::text from ops.feed_status as feed
        where feed.feed in ('customers', 'consents')) as is_made_up
from listed
left join pii.customers as person on person.customer_key = listed.customer_key
left join raw.customers as customers on customers.customer_key = listed.customer_key
where listed.customer_key not in (select customer_key from must_leave)
order by listed.customer_key
"""  # noqa: S608 - texts of our own

_MUST_LEAVE_A_LIST = f"""
with listed as (
    -- in whatever state: who objected before the message left is cancelled
    select a.as_of, a.snapshot_id, o.customer_key
    from ops.outreach as o
    inner join ops.assignment as a
        on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
    where o.campaign_id = %(campaign)s and to_char(a.as_of, 'YYYY-MM-DD') = any(%(dates)s)
),

{_MUST_LEAVE}

select listed.as_of, must_leave.customer_key, listed.snapshot_id, must_leave.reasons,
    must_leave.evidence
from listed inner join must_leave using (customer_key)
order by listed.as_of
"""  # noqa: S608 - texts of our own
_KEEP = """
insert into ops.verdict
    (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)
values (%s, %s, %s, 'email', 'list', false, %s, %s)
"""

# What a verdict can change by, told by figures that are cheap to read: to judge a
# hundred thousand people takes seconds, and is asked for every ten minutes.
_TOLD = """
select concat_ws(' ',
    -- a source's clock may be ahead of ours: what it dates later counts within the hour
    date_trunc('hour', now() at time zone %(zone)s), %(replay)s::text, %(months)s::int,
    %(advertisers)s::text[],
    (select md5(string_agg(campaign_id || definition::text, ' ' order by campaign_id))
        from ops.campaign),
    (select count(*) from ops.extract_run),
    (select count(*) || ' ' || coalesce(sum(extract(epoch from renewed_at)), 0)
        from ops.suppression),
    (select count(*) from ops.contact_preference),
    (select count(confirmed_at) from ops.opt_in_request),
    (select count(*) || ' ' || count(unmerged_at) from ops.customer_merge),
    (select string_agg(concat_ws(' ', country, channel, kind, ground), ' ' order by rule)
        from ops.country_rule as rule)
)
"""
_JUDGED = ".judged"
# who writes a list holds the lock of this name
LISTS = "lists of marketing"


def write_list(folder: Path, campaign: str, as_of: date) -> tuple[Path, int]:
    """Writes the people a campaign was to contact on a date; replaces an earlier list.

    Args:
        folder: Where lists are kept.
        campaign: The campaign.
        as_of: The date on which they were drawn.

    Returns:
        The file, and how many people are on it.
    """
    with warehouse.connect("sender") as connection:
        _lock(connection)
        return _write(connection, folder, campaign, as_of)


def _lock(connection: psycopg.Connection) -> None:
    """Until the caller commits: an erasure waits for it, and whoever is erased by then is read no
    more."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (LISTS,))


def _write(
    connection: psycopg.Connection, folder: Path, campaign: str, as_of: date
) -> tuple[Path, int]:
    path = folder / as_of.isoformat() / f"{campaign}.csv"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    rows = connection.execute(_ROWS, _values(campaign) | {"as_of": as_of}).fetchall()
    # of mode 0600 from the start, and a name of its own: two runs may write the same list
    descriptor, unfinished = tempfile.mkstemp(".part", f"{campaign}-", path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(harmless(row) for row in rows)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return path, len(rows)


def refresh_lists(folder: Path) -> list[Path]:
    """Writes those lists anew on which somebody stands who must not be written to any more.

    What a list holds is compared, not when it was written: a list that was being written while
    somebody objected is found as well. The other lists stay as they are, and nobody is judged while
    neither a list nor anything that was told has changed since the last time. The verdict on
    whoever leaves is kept.

    Args:
        folder: Where lists are kept.

    Returns:
        The files that were written anew.

    Raises:
        OSError: A file can not be written; the others were.
    """
    dates: dict[str, list[str]] = {}
    for path in folder.glob("*/*.csv"):
        dates.setdefault(path.stem, []).append(path.parent.name)
    if not dates:
        return []
    written = []
    failure: OSError | None = None
    with warehouse.connect("sender") as connection:
        _lock(connection)
        # before anybody is judged: what is told meanwhile is found the next time
        state = _state(connection, folder)
        if (folder / _JUDGED).exists() and (folder / _JUDGED).read_text("ascii") == state:
            return []
        for campaign, of_campaign in sorted(dates.items()):
            values = _values(campaign) | {"dates": of_campaign}
            must_leave = connection.execute(_MUST_LEAVE_A_LIST, values).fetchall()
            for as_of, of_list in groupby(must_leave, itemgetter(0)):
                path = folder / as_of.isoformat() / f"{campaign}.csv"
                listed = words_in(path)
                leaving = {key: (*why,) for _, key, *why in of_list if key in listed}
                if not leaving:
                    continue
                try:
                    # together or not at all
                    with connection.transaction():
                        _keep(connection, campaign, leaving)
                        _, n_people = _write(connection, folder, campaign, as_of)
                except OSError as error:
                    failure = failure or error
                    continue
                log.info("%s left %s, with %s people on it now", len(leaving), path, n_people)
                written.append(path)
    if failure is not None:
        raise failure
    (folder / _JUDGED).write_text(state, "ascii")
    return written


def _keep(
    connection: psycopg.Connection,
    campaign: str,
    leaving: Mapping[str, tuple[int, list[str], dict[str, Any]]],
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            _KEEP,
            [
                (snapshot_id, campaign, key, reasons, Jsonb(evidence))
                for key, (snapshot_id, reasons, evidence) in leaving.items()
            ],
        )


def _state(connection: psycopg.Connection, folder: Path) -> str:
    """A digest of what was told and of the lists that are there, whoever wrote or saved them."""
    told = connection.execute(_TOLD, _values("")).fetchone()
    files = sorted((str(path), path.stat().st_mtime_ns) for path in folder.glob("*/*.csv"))
    return sha256(repr((told, files)).encode()).hexdigest()


def _values(campaign: str) -> dict[str, Any]:
    config = settings()
    return {
        "campaign": campaign,
        "zone": config.business_timezone,
        "replay": config.replay,
        "months": config.consent_unused_months,
        "advertisers": config.advertiser_names(),
        "not_against": _NOT_AGAINST,
    }


def words_in(path: Path) -> set[str]:
    """Every word of a list, its keys among them, also after a spreadsheet saved it its own way."""
    # without its NULs, UTF-16 reads like the rest
    return set(_WORD.findall(path.read_bytes().replace(b"\0", b"").decode("utf-8", "replace")))


def harmless(row: Iterable[Any]) -> list[Any]:
    """A row whose texts no spreadsheet takes for formulas."""
    return [_FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell for cell in row]
