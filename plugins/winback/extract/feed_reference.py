"""Writes `docs/feeds.md` from the declarations: `python -m winback.extract.feed_reference`."""

from __future__ import annotations

from winback.extract.feeds import FEEDS, Column, Feed
from winback.settings import PROJECT

PATH = PROJECT / "docs" / "feeds.md"

KINDS = {
    "customer": "customer id",
    "text": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "cents": "amount",
    "currency": "currency code",
    "timestamp": "date or time",
    "email": "e-mail address",
}
OPENING = """\
# Feeds

What winback can be told about customers. This page is written from the declarations in
`plugins/winback/extract/feeds/`; change those, then run
`PYTHONPATH=plugins .venv/bin/python -m winback.extract.feed_reference`.
How your own columns become these columns: [sources.md](sources.md).

A row that breaks a rule below goes to `quarantine.rejected_row` with every reason; the others pass.
Received = passed + quarantined holds for every load, or the load fails as a whole.

- **required**: a mapping without the column is refused, a row without the value is quarantined.
- **personal**: kept in the schema `pii` alone. `raw` holds a keyed hash of a customer id
  (`customer_key`) and of an e-mail address (`email_hash`), and nothing of a name.
- **key**: a row with the same key replaces the one loaded before. Within one load the first counts,
  the others are quarantined.
- **known since**: facts from as-of 00:00 on, in business time, do not count yet.
- **switches on**: what winback can do with the feed and leaves out, visibly, without it.
- **may forbid**: a row can be the reason why somebody must not be written to. Whoever has one in
  quarantine is not (`record_unreadable`), until the row is read, or the whole source is read and it
  is not in quarantine any more. A row that repeats another in everything says nothing new. A feed
  that is not loaded any more keeps what it had, here as well.
- A text with a closed list of values is quarantined with any other; `values` in the mapping
  translates your words into them.
"""


def reference() -> str:
    """The page's text."""
    return "\n".join([OPENING, *map(_section, FEEDS.values())])


def _section(feed: Feed) -> str:
    need = "required" if feed.is_required else "optional"
    rows = "\n".join(_row(column) for column in feed.columns)
    return (
        f"## {feed.name} ({need})\n\n"
        f"{feed.doc}\n\n"
        f"Switches on: {feed.switches_on}.{' May forbid.' if feed.may_forbid else ''}\n\n"
        f"Key: {', '.join(f'`{name}`' for name in feed.key)}. "
        f"Known since: `{feed.event_time}`.{_freshness(feed)}\n\n"
        "| column | what it is | type | |\n"
        "|---|---|---|---|\n"
        f"{rows}\n"
    )


def _freshness(feed: Feed) -> str:
    if feed.max_age_days is None:
        return ""
    return f" Stale when the newest fact is over {feed.max_age_days} days old."


def _row(column: Column) -> str:
    marks = [
        "required" if column.is_required else "",
        "personal" if column.is_personal else "",
        f"≥ {column.minimum}" if column.minimum is not None else "",
        f"≤ {column.maximum}" if column.maximum is not None else "",
        f"in `{column.references}`" if column.references else "",
    ]
    told = ", ".join(mark for mark in marks if mark)
    kind = f"one of {', '.join(column.allowed)}" if column.allowed else KINDS[column.kind]
    return f"| `{column.name}` | {column.doc} | {kind} | {told} |"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(reference(), encoding="utf-8")
