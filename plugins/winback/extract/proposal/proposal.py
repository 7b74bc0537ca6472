"""Proposes where feeds may come from, by the names and types of a shop's tables and columns.

Pure: tables in, proposals out. Looking at a database or a folder is `postgres_catalog.py` and
`file_catalog.py`; how a proposal is written down is `proposal_text.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from winback.extract.feeds import FEEDS, Column, Feed
from winback.extract.proposal import synonyms
from winback.extract.proposal.likeness import (
    compact,
    likely_columns,
    of_fitting_type,
    table_likeness,
    value_class,
)

# what stands in every row where a shop has no column for it, and what to ask its engineer
CONSTANTS = {
    "currency": ("EUR", "no column found: is it always EUR?"),
    "text_version": ("unknown", "no column found: which text did they agree to?"),
    "source": ("unknown", "no column found: where was the consent given?"),
}
SHOWN = 8
LONGEST_WORD = 30


@dataclass(frozen=True)
class SourceTable:
    """A table, view or file that a feed may come from.

    Attributes:
        name: As people call it.
        place: The keys of a feed that lead there, such as `connection` and `table`.
        columns: Its columns with their types.
        key: Its primary key, where it has one.
        n_rows: About how many rows it has; None where nobody knows.
        words: Gives the different values of a column, or None when they are many.
        written: Further keys of a column's mapping, such as its date format.
    """

    name: str
    place: dict[str, str]
    columns: dict[str, str]
    key: tuple[str, ...] = ()
    n_rows: int | None = None
    words: Callable[[str], list[str] | None] = lambda _: None
    written: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ProposedColumn:
    """One line of a proposed mapping.

    Attributes:
        origin: What the mapping says, as for `column_mapping.read_column`; None where a person
            has to choose.
        remark: What a person should look at; empty when nothing is doubtful.
    """

    origin: str | dict[str, object] | None
    remark: str = ""


@dataclass
class Proposal:
    """Where one feed may come from.

    Attributes:
        feed: The feed.
        table: The table; None where none looks like it.
        columns: Its columns, by name; those that are missing but required too.
        left_out: Optional columns that a person may want to map, with the reason.
        others: Further tables that look like the feed.
        derive_from: The feed it can be made of, for want of a table.
    """

    feed: Feed
    table: SourceTable | None = None
    columns: dict[str, ProposedColumn] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    derive_from: str | None = None

    @property
    def missing(self) -> list[str]:
        """Required columns that a person has to choose."""
        return [name for name, column in self.columns.items() if column.origin is None]

    @property
    def status_column(self) -> str | None:
        """The column that may tell cancelled orders from others."""
        if self.table is None or self.feed.name != "orders":
            return None
        return next((n for n in self.table.columns if compact(n) in synonyms.STATUS), None)

    @property
    def is_complete(self) -> bool:
        """Whether it can be loaded as it is."""
        return bool(self.columns) and not self.missing


def propose(tables: Iterable[SourceTable]) -> list[Proposal]:
    """The best table for each feed; a table serves one feed.

    Args:
        tables: All that there are.

    Returns:
        One proposal for each feed, in their order; without a table where none looks like it.
    """
    fits = [
        (likeness + _share_found(proposal), table, proposal)
        for table in tables
        for feed in FEEDS.values()
        if (likeness := table_likeness(table.name, feed))
        for proposal in [_propose(feed, table)]
    ]
    # of two that look the same, the larger one
    fits.sort(key=lambda fit: (fit[0], fit[1].n_rows or 0), reverse=True)
    chosen: dict[str, Proposal] = {}
    taken: set[str] = set()
    for _, table, proposal in fits:
        best = chosen.get(proposal.feed.name)
        if table.name not in taken and best is None:
            taken.add(table.name)
            chosen[proposal.feed.name] = proposal
        elif best is not None:
            best.others.append(table.name)
    for proposal in chosen.values():
        proposal.others = [name for name in proposal.others if name not in taken]
    if "customers" not in chosen and "orders" in chosen:
        chosen["customers"] = _from_orders(chosen["orders"])
    return [chosen.get(feed.name, Proposal(feed)) for feed in FEEDS.values()]


def changed_column(table: SourceTable) -> str | None:
    """The column that tells when a row was changed last, if one looks like it."""
    for pattern in synonyms.CHANGED:
        for name, kind in table.columns.items():
            if value_class(kind) == "time" and re.fullmatch(pattern, compact(name)):
                return name
    return None


def choices(column: Column, feed: Feed, present: dict[str, str], *, is_text: bool) -> str:
    """What a person may choose for a column, as words for a comment or a message.

    Args:
        column: The feed's column.
        feed: The feed.
        present: The source's columns with their types.
        is_text: Whether the source knows no types.
    """
    likely = likely_columns(column, feed, present, is_text=is_text)
    possible = likely + [name for name in of_fitting_type(column, present) if name not in likely]
    if not possible:
        return f"no column looks like it; a {column.kind} is needed"
    more = " …" if len(possible) > SHOWN else ""
    return f"choose one of: {', '.join(possible[:SHOWN])}{more}"


def _propose(feed: Feed, table: SourceTable) -> Proposal:
    proposal = Proposal(feed, table)
    taken: set[str] = set()
    found: dict[str, ProposedColumn] = {}
    for column in sorted(feed.columns, key=lambda c: (not c.is_required, c.name not in feed.key)):
        likely = [name for name in likely_columns(column, feed, table.columns) if name not in taken]
        if feed.key == (column.name,) and len(table.key) == 1:
            # what other tables point to, even where people see another number
            likely = list(table.key)
        if likely:
            proposed = _column(column, likely[0], table)
            if proposed.origin is None and not column.is_required:
                proposal.left_out[column.name] = proposed.remark
                continue
            taken.add(likely[0])
            found[column.name] = proposed
        elif column.is_required and column.name in CONSTANTS:
            constant, remark = CONSTANTS[column.name]
            found[column.name] = ProposedColumn({"constant": constant}, remark)
        elif column.is_required:
            free = {name: kind for name, kind in table.columns.items() if name not in taken}
            found[column.name] = ProposedColumn(None, choices(column, feed, free, is_text=False))
    proposal.columns = {c.name: found[c.name] for c in feed.columns if c.name in found}
    return proposal


def _column(column: Column, name: str, table: SourceTable) -> ProposedColumn:
    kind = table.columns[name]
    details: dict[str, object] = dict(table.written.get(name, {}))
    remark = ""
    if column.kind == "cents":
        if value_class(kind) == "text" or _has_decimals(kind):
            details["unit"] = "major"
        elif "cent" not in name.lower():
            remark = "whole numbers, taken as cents; write `unit: major` if they are not"
    if column.allowed:
        values, unknown = _translated(column, table.words(name))
        if unknown:
            return ProposedColumn(
                None,
                f"{name} holds {unknown}: map it with `values` to {', '.join(column.allowed)}",
            )
        if values:
            details["values"] = values
    return ProposedColumn({"column": name, **details} if details else name, remark)


def _has_decimals(kind: str) -> bool:
    """Whether an amount of this type is in euros rather than in whole cents."""
    if kind.startswith(("numeric", "decimal")):
        return not kind.replace(" ", "").endswith((",0)", ",0"))
    return kind.startswith(("double", "float", "real"))


def _translated(column: Column, words: list[str] | None) -> tuple[dict[str, str], str]:
    """The source's words in the feed's, and those that nobody knows."""
    if words is None or any(len(word) > LONGEST_WORD for word in words):
        # free text, which may be about a person
        return {}, "many different values"
    values, unknown = {}, []
    for word in words:
        if word in column.allowed:
            continue
        meaning = synonyms.VALUES.get(word.strip().lower(), word.strip().lower())
        if meaning in column.allowed:
            values[word] = meaning
        else:
            unknown.append(word)
    return values, ", ".join(unknown)


def _share_found(proposal: Proposal) -> float:
    required = [column for column in proposal.feed.columns if column.is_required]
    n_found = sum(
        1
        for column in required
        if proposal.columns[column.name].origin is not None and column.name not in CONSTANTS
    )
    n_optional = len(proposal.columns) - len(required)
    return n_found / len(required) + 0.01 * n_optional


def _from_orders(orders: Proposal) -> Proposal:
    columns = {}
    for name, origin in (("customer_id", "customer_id"), ("registered_at", "ordered_at")):
        if origin in orders.columns:
            columns[name] = orders.columns[origin]
    return Proposal(FEEDS["customers"], columns=columns, derive_from="orders")
