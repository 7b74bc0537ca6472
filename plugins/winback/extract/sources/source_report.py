"""How the findings about a source look on the screen, for `./winback sources check`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from winback.extract.mapping.column_mapping import ColumnMapping
from winback.extract.mapping.cursor import Cursor
from winback.extract.sources.source_check import FeedCheck, Sample

MOST_REASONS = 8
# of a value among the first rows
LONGEST = 19
GOOD, DOUBTFUL, BAD = "green", "yellow", "red"


def report(found: FeedCheck) -> RenderableType:
    """What was found about one feed."""
    feed, mapping = found.mapping.feed, found.mapping
    title = Text.assemble((feed.name, "bold"), f"  from {mapping.source}")
    if found.n_files > 1:
        title.append(f" ({found.n_files:,} files)")
    if mapping.derive_from:
        title.append(f", as {mapping.derive_from}")
    parts: list[RenderableType] = [Text(), title]
    if found.source_columns and not found.problem:
        parts.append(_indented(_columns(found)))
    parts += [_indented(line) for line in _lines(found)]
    return Group(*parts)


def _indented(content: RenderableType) -> Padding:
    return Padding(content, (0, 0, 0, 2), expand=False)


def _columns(found: FeedCheck) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("feed", no_wrap=True)
    table.add_column("source", no_wrap=True, max_width=26)
    table.add_column("type", no_wrap=True, max_width=16, style="dim")
    table.add_column("first rows", no_wrap=True, max_width=36)
    table.add_column("loaded as", no_wrap=True)
    for name, how in found.mapping.columns.items():
        kind = found.source_columns.get(how.column, "") if how.column else ""
        sample = found.samples.get(name, Sample([], ""))
        is_varied = how.column is not None or how.template is not None
        values = _values(sample.at_source) if is_varied else ""
        table.add_row(name, _origin(how), _short(kind), Text(values), Text(sample.loaded))
    cursor = found.mapping.cursor
    if cursor is not None:
        kind = found.source_columns.get(cursor.column, "")
        table.add_row("cursor", Text(cursor.column), _short(kind), Text(_overlap(cursor)))
    return table


def _lines(found: FeedCheck) -> Iterator[Text]:
    if found.problem:
        yield Text(f"✗ {found.problem}", style=BAD)
    for name, likely in found.absent.items():
        if likely:
            yield Text(f"  {name} may be called {' or '.join(likely[:3])} now", style=BAD)
    for name, what in found.missing.items():
        yield Text(f"✗ {name} is required and not mapped: {_write(what)}", style=BAD)
    if found.n_looked_at:
        yield from _verdict(found)
    elif not found.problem and found.mapping.read_columns:
        yield Text("! it has no rows", style=DOUBTFUL)
    if found.n_without_cursor:
        yield Text(
            f"! {found.n_without_cursor:,} of them have no cursor that can be read, and are read "
            "every time",
            style=DOUBTFUL,
        )
    if found.likely:
        pairs = (f"{name}: {source}" for name, source in found.likely.items())
        yield Text(f"+ you could map as well: {', '.join(pairs)}")
    if found.source_columns:
        others = [
            column.name
            for column in found.mapping.feed.columns
            if column.name not in {*found.mapping.columns, *found.likely, *found.missing}
        ]
        if others:
            yield Text(f"  optional, not mapped: {', '.join(others)}", style="dim")
        if found.unused_columns:
            yield Text(
                f"  not read from the source: {', '.join(found.unused_columns)}", style="dim"
            )


def _verdict(found: FeedCheck) -> Iterator[Text]:
    rows = f"{'all' if found.is_whole else 'the first'} {found.n_looked_at:,} rows"
    if not found.n_bad:
        yield Text(f"✓ {rows} pass", style=GOOD)
        return
    yield Text(f"! of {rows}, {found.n_bad:,} would be quarantined:", style=DOUBTFUL)
    for reason, n in found.reasons.most_common(MOST_REASONS):
        yield Text(f"  {n:>9,}  {reason}", style=DOUBTFUL)
    n_more = len(found.reasons) - MOST_REASONS
    if n_more > 0:
        yield Text(f"             and {n_more} more reasons", style=DOUBTFUL)


def _values(texts: list[str]) -> str:
    if not any(texts):
        return "–"
    short = (f"{text[: LONGEST - 1]}…" if len(text) > LONGEST else text or "–" for text in texts)
    return " · ".join(short)


def _write(what: str) -> str:
    return f"write {what}" if what.startswith("`") else what


def _origin(how: ColumnMapping) -> Text:
    if how.column:
        return Text(how.column)
    if how.constant is not None:
        return Text(f"always {how.constant}", style="italic")
    return Text(how.template or "file name and row", style="italic")


def _overlap(cursor: Cursor) -> str:
    if cursor.kind == "number":
        return f"again from {cursor.overlap:,} before"
    return f"again from {cursor.overlap_days} days before"


def _short(kind: str) -> str:
    return (
        kind.replace(" without time zone", "")
        .replace(" with time zone", " tz")
        .replace("character varying", "varchar")
    )
