"""The rows that were set aside, as a person looks at them; `load_statements.py` sets them aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winback.warehouse import connection as warehouse

# an increment sets aside what it read, so those since the whole load before it count as well
_NEWEST = """
with whole as (
    select feed, max(extract_run_id) as extract_run_id from ops.extract_run
    where is_whole group by feed
)

select row.feed, row.source, row.row_number, row.reasons, row.content
from quarantine.rejected_row as row
inner join whole on row.feed = whole.feed and row.extract_run_id >= whole.extract_run_id
where %(feed)s::text is null or row.feed = %(feed)s
order by row.extract_run_id desc, row.source, row.row_number
limit %(limit)s
"""


@dataclass(frozen=True)
class QuarantinedRow:
    """A row in quarantine; personal values in `content` are keyed hashes."""

    feed: str
    source: str
    row_number: int
    reasons: list[str]
    content: dict[str, Any]


def newest_rejected(feed: str | None, limit: int) -> list[QuarantinedRow]:
    """The rows of each feed's newest load that may not pass.

    Args:
        feed: One feed alone; None for all.
        limit: Rows at most.
    """
    with warehouse.connect("loader") as connection:
        rows = connection.execute(_NEWEST, {"feed": feed, "limit": limit}).fetchall()
    return [QuarantinedRow(*row) for row in rows]
