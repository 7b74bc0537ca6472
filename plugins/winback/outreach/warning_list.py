"""The list of early warnings for account owners, as CSV and XLSX: who may leave, and what says so.

It holds names and addresses, so only its owner can read it, and an address stands on it only where
the customer may be written to or called; the verdicts are kept. Who is warned of is `fct_warnings`;
lists of campaigns are `lists.py`.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import xlsxwriter
from psycopg.types.json import Jsonb

from winback.errors import WinbackError
from winback.outreach.lists import harmless
from winback.settings import settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

# whom a warning goes to and how grave it is, by the setting `warning_language`
WORDS = {
    "en": {
        "owner": "account owner", "manager": "manager of the account owner",
        "high": "high", "medium": "medium", "low": "low",
    },
    "de": {
        "owner": "Kundenbetreuung", "manager": "Leitung der Kundenbetreuung",
        "high": "hoch", "medium": "mittel", "low": "gering",
    },
}  # fmt: skip
COLUMNS = (
    "account_owner", "goes_to", "severity", "signs", "since", "customer_key", "first_name",
    "last_name", "company", "email", "phone", "no_email_because", "no_call_because", "value_tier",
    "turnover_cents", "last_purchase_date", "is_made_up",
)  # fmt: skip
SHEET = "warnings"
_NAME = "warnings-{as_of}{suffix}"

_ROWS = """
with warned as (
    select * from marts.fct_warnings where as_of = %(as_of)s
),

-- the same verdict as before a message; nothing that was bought speaks against a warning
verdict as (
    select channel.name as channel, said.customer_key, said.evidence,
        -- the address that it looks for is that of the mail
        case channel.name
            when 'phone' then array_remove(said.reasons, 'no_address') else said.reasons
        end as reasons
    from (values ('email'), ('phone')) as channel (name)
    cross join lateral ops.eligibility(
        (select array_agg(customer_key order by customer_key) from warned),
        (select array_agg('infinity'::timestamptz) from warned),
        '', channel.name, %(as_of)s, coalesce(%(known_until)s::timestamptz, now()),
        %(consent_unused_months)s, %(contact_pause_days)s, advertisers => %(advertisers)s::text[]
    ) as said
),

-- the list is written anew every few minutes
kept as (
    insert into ops.verdict
        (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)
    select
        snapshot.snapshot_id, '', verdict.customer_key, verdict.channel, 'warning',
        cardinality(verdict.reasons) = 0, verdict.reasons, verdict.evidence
    from verdict
    cross join (
        select max(snapshot_id) as snapshot_id from ops.snapshot
        where as_of = %(as_of)s and purpose = 'live' and completed_at is not null
    ) as snapshot
    left join lateral (
        select said.snapshot_id, said.reasons, said.evidence from ops.verdict as said
        where said.customer_key = verdict.customer_key and said.step = 'warning'
            and said.channel = verdict.channel
        order by said.verdict_id desc
        limit 1
    ) as before on true
    where (before.snapshot_id, before.reasons, before.evidence)
        is distinct from (snapshot.snapshot_id, verdict.reasons, verdict.evidence)
)

select
    person.account_owner,
    %(words)s::jsonb ->> case when warned.is_about_contact_person
        then 'manager' else 'owner' end as goes_to,
    %(words)s::jsonb ->> warned.severity as severity,
    warned.signs, warned.since, warned.customer_key,
    person.first_name, person.last_name, person.company,
    case when mail.reasons = '{}' then person.email end as email,
    case when call.reasons = '{}' then person.phone end as phone,
    array_to_string(mail.reasons, ', ') as no_email_because,
    array_to_string(call.reasons, ', ') as no_call_because,
    customers.value_tier, customers.turnover_cents, customers.last_purchase_date,
    -- a list of a demo must not pass for one of real people
    (select coalesce(bool_or(feed.is_made_up), false)::text from ops.feed_status as feed
        where feed.feed = 'customers') as is_made_up
from warned
inner join marts.dim_customers as customers using (customer_key)
left join verdict as mail on mail.customer_key = warned.customer_key and mail.channel = 'email'
left join verdict as call on call.customer_key = warned.customer_key and call.channel = 'phone'
left join pii.customers as person on person.customer_key = warned.customer_key
order by person.account_owner nulls last, goes_to, warned.n_signs desc,
    customers.turnover_cents desc, warned.customer_key
"""


class NoWarnings(WinbackError):
    """The marts are not of the date that was asked for."""


def write_warning_list(folder: Path, as_of: date) -> tuple[list[Path], int]:
    """Writes the warnings of a date, by account owner, and removes older lists of warnings.

    Args:
        folder: Where lists are kept.
        as_of: The date of the marts.

    Returns:
        The CSV and the XLSX file, and how many customers are on them.

    Raises:
        NoWarnings: The marts are of another date.
    """
    rows = _read(as_of)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    csv_path = folder / _NAME.format(as_of=as_of, suffix=".csv")
    xlsx_path = folder / _NAME.format(as_of=as_of, suffix=".xlsx")
    _replace(csv_path, lambda file: _write_csv(file, rows))
    _replace(xlsx_path, lambda file: _write_xlsx(file, rows))
    # an older one would keep the address of somebody who has objected since
    for path in folder.glob(_NAME.format(as_of="*", suffix=".*")):
        if path not in (csv_path, xlsx_path):
            path.unlink(missing_ok=True)
    log.info("%s customers on %s", len(rows), csv_path)
    return [csv_path, xlsx_path], len(rows)


def refresh_warning_list(folder: Path) -> None:
    """Writes the list anew, so that no address of somebody stays on it who objected since.

    A list of a date whose marts were replaced is removed: nobody could say any more who may stand
    on it, and the next one is on its way.

    Args:
        folder: Where lists are kept.
    """
    for path in folder.glob(_NAME.format(as_of="*", suffix=".csv")):
        as_of = date.fromisoformat(path.stem.removeprefix(_NAME.format(as_of="", suffix="")))
        try:
            write_warning_list(folder, as_of)
        except NoWarnings:
            log.info("%s is out of date and removed", path)
            for each in (path, path.with_suffix(".xlsx")):
                each.unlink(missing_ok=True)


def _read(as_of: date) -> list[tuple[Any, ...]]:
    config = settings()
    values = {
        "as_of": as_of,
        # this morning's objections count, as in last_check.py; a replay has to pretend not to know
        "known_until": config.as_of_at(as_of) if config.replay else None,
        "consent_unused_months": config.consent_unused_months,
        "contact_pause_days": config.contact_pause_days,
        "advertisers": config.advertiser_names(),
        "words": Jsonb(WORDS[config.warning_language]),
    }
    with warehouse.connect("sender") as connection:
        built = connection.execute(
            "select exists (select 1 from marts.fct_customer_states where as_of = %s)", (as_of,)
        ).fetchone()
        if built != (True,):
            raise NoWarnings(f"the marts are not of {as_of}: run winback_ingest for that date")
        # one after the other, so that two writers keep no verdict twice
        connection.execute("select pg_advisory_xact_lock(hashtextextended('warning list', 1))")
        return connection.execute(_ROWS, values).fetchall()


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> None:
    # of mode 0600 from the start, and a name of its own: two runs may write the same list
    descriptor, unfinished = tempfile.mkstemp(".part", "", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _write_csv(file: BinaryIO, rows: Sequence[tuple[Any, ...]]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(harmless(row) for row in rows)
    text.detach()


def _write_xlsx(file: BinaryIO, rows: Sequence[tuple[Any, ...]]) -> None:
    workbook = xlsxwriter.Workbook(file)
    bold = workbook.add_format({"bold": True})
    day = workbook.add_format({"num_format": "yyyy-mm-dd"})
    sheet = workbook.add_worksheet(SHEET)
    for position, name in enumerate(COLUMNS):
        sheet.write_string(0, position, name, bold)
    for n, row in enumerate(rows, start=1):
        for position, cell in enumerate(row):
            if isinstance(cell, date):
                sheet.write_datetime(n, position, cell, day)
            elif isinstance(cell, int):
                sheet.write_number(n, position, cell)
            elif cell is not None:
                # as a string whatever it looks like: a name may begin like a formula
                sheet.write_string(n, position, str(cell))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(rows), len(COLUMNS) - 1)
    workbook.close()
