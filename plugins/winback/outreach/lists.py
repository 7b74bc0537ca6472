"""Lists for marketing: whom a campaign writes to, as a CSV file that a spreadsheet opens safely.

The file holds names and addresses, so only its owner can read it, and who objects later leaves it
with the next record step. Lists without personal data are the marts.
"""

from __future__ import annotations

import csv
import logging
import os
import re
import tempfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

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

_ROWS = """
select o.customer_key, person.email, person.first_name, person.last_name, customers.locale,
    a.customer_state, a.stratum, a.occasion_date, o.state,
    -- a list of a demo must not pass for one of real people who agreed
    (select coalesce(bool_or(feed.is_made_up), false)::text from ops.feed_status as feed
        where feed.feed in ('customers', 'consents')) as is_made_up
from ops.outreach as o
inner join ops.assignment as a
    on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
left join pii.customers as person on person.customer_key = o.customer_key
left join raw.customers as customers on customers.customer_key = o.customer_key
where o.campaign_id = %s and a.as_of = %s and o.state <> 'cancelled' and a.erased_at is null
    -- one row for a person, the newest, however often a message had to be sent
    and not exists (
        select 1 from ops.outreach as newer
        where newer.resend_of = o.message_id and newer.state <> 'cancelled'
    )
    -- an objection removes people who are already on a list
    and not exists (
        select 1 from ops.suppression as s
        where s.address_hash = o.address_hash
            or (s.scope = 'person' and s.customer_key = o.customer_key)
    )
    -- also one that the shop was told since; a day before, since a day begins elsewhere earlier
    and o.customer_key not in (
        select unnest(coalesce(person.members, array[objector.customer_key]))
        from raw.customers as objector
        left join ops.person as person on person.customer_key = objector.customer_key
        where objector.objected_at > %s::date - 1
    )
order by o.customer_key
"""

_SUPPRESSED = """
select a.campaign_id, a.as_of, array_agg(o.customer_key)
from (
    select told.campaign_id, told.lapse_id, told.customer_key
    from ops.suppression as s
    inner join ops.outreach as told on told.address_hash = s.address_hash
    union
    select told.campaign_id, told.lapse_id, told.customer_key
    from ops.suppression as s
    inner join ops.outreach as told on told.customer_key = s.customer_key
    where s.scope = 'person'
    union
    select told.campaign_id, told.lapse_id, told.customer_key
    from raw.customers as objector
    left join ops.person as person on person.customer_key = objector.customer_key
    inner join ops.outreach as told
        on told.customer_key = any(coalesce(person.members, array[objector.customer_key]))
        and objector.objected_at > told.as_of - 1
) as o
inner join ops.assignment as a
    on a.campaign_id = o.campaign_id and a.lapse_id = o.lapse_id and a.arm = 'treated'
where to_char(a.as_of, 'YYYY-MM-DD') = any(%s)
group by a.campaign_id, a.as_of
"""


def write_list(folder: Path, campaign: str, as_of: date) -> tuple[Path, int]:
    """Writes the people a campaign was to contact on a date; replaces an earlier list.

    Args:
        folder: Where lists are kept.
        campaign: The campaign.
        as_of: The date on which they were drawn.

    Returns:
        The file, and how many people are on it.
    """
    path = folder / as_of.isoformat() / f"{campaign}.csv"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with warehouse.connect("sender") as connection:
        rows = connection.execute(_ROWS, (campaign, as_of, as_of)).fetchall()
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
    somebody objected is found as well. The other lists stay as they are.

    Args:
        folder: Where lists are kept.

    Returns:
        The files that were written anew.
    """
    paths = {(path.parent.name, path.stem): path for path in folder.glob("*/*.csv")}
    if not paths:
        return []
    with warehouse.connect("sender") as connection:
        rows = connection.execute(_SUPPRESSED, ([as_of for as_of, _ in paths],)).fetchall()
    written = []
    for campaign, as_of, customer_keys in rows:
        path = paths.get((as_of.isoformat(), campaign))
        if path is not None and not words_in(path).isdisjoint(customer_keys):
            _, n_people = write_list(folder, campaign, as_of)
            log.info("%s people left on %s after objections or bounces", n_people, path)
            written.append(path)
    return written


def words_in(path: Path) -> set[str]:
    """Every word of a list, its keys among them, also after a spreadsheet saved it its own way."""
    # without its NULs, UTF-16 reads like the rest
    return set(_WORD.findall(path.read_bytes().replace(b"\0", b"").decode("utf-8", "replace")))


def harmless(row: Iterable[Any]) -> list[Any]:
    """A row whose texts no spreadsheet takes for formulas."""
    return [_FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell for cell in row]
