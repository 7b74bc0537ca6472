"""Writes proposals down as a sources file, with comments where a person has to look or choose."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import Any

import yaml

from winback.extract.feeds import FEEDS
from winback.extract.proposal.proposal import Proposal, ProposedColumn, SourceTable, changed_column

WIDTH = 100


def proposal_text(dataset: str, introduction: list[str], proposals: list[Proposal]) -> str:
    """The text of a sources file with one dataset.

    Args:
        dataset: Its name.
        introduction: What to say at its head, a line each.
        proposals: One for each feed.
    """
    lines = [*(f"# {line}".rstrip() for line in introduction), "datasets:"]
    lines += [f"  {_yaml(dataset)}:", "    feeds:"]
    by_feed = {proposal.feed.name: proposal for proposal in proposals}
    for proposal in proposals:
        if proposal.is_complete or proposal.feed.is_required:
            lines += ["", *(f"      {line}" for line in _feed(proposal))]
        elif proposal.table is not None:
            lines += ["", *(f"      # {line}" for line in _doubtful(proposal, by_feed["orders"]))]
    absent = [p.feed.name for p in proposals if not p.columns and not p.feed.is_required]
    if absent:
        lines += ["", *(f"      {line}" for line in _absent(absent))]
    return "\n".join(lines) + "\n"


def _feed(proposal: Proposal) -> list[str]:
    lines = [f"{proposal.feed.name}:"]
    if proposal.derive_from:
        lines += _with_remark(
            f"  derive_from: {proposal.derive_from}",
            "no table looks like customers: made of those who ordered; no addresses then",
        )
    elif proposal.table is None:
        lines += _with_remark("  table:", "no table looks like it: name one, or a `file`")
        columns = [c.name for c in proposal.feed.columns if c.is_required]
        return [*lines, "  columns:", *(f"    {name}:" for name in columns)]
    else:
        lines += _place(proposal.table)
        if proposal.others:
            lines.append(f"  # could be as well: {', '.join(proposal.others)}")
        changed = changed_column(proposal.table)
        if changed:
            lines += _with_remark(
                f"  # cursor: {_yaml(changed)}",
                "reads only what is new or changed; if the shop always writes it",
            )
    if proposal.status_column:
        lines += _with_remark(
            f"  # {proposal.status_column}:",
            "orders that were cancelled count as well; leave them out with a view",
        )
    lines.append("  columns:")
    for name, column in proposal.columns.items():
        lines += [f"    {line}" for line in _column(name, column)]
    lines += [f"    # {name}: {remark}" for name, remark in proposal.left_out.items()]
    return lines


def _place(table: SourceTable) -> list[str]:
    lines = []
    for key, value in table.place.items():
        remark = ""
        if key == "table" and table.n_rows is not None:
            remark = f"about {table.n_rows:,} rows" if table.n_rows else "empty"
        lines += _with_remark(f"  {key}: {_yaml(value)}", remark)
    return lines


def _column(name: str, column: ProposedColumn) -> list[str]:
    origin = "" if column.origin is None else f" {_yaml(column.origin)}"
    return _with_remark(f"{name}:{origin}", column.remark)


def _doubtful(proposal: Proposal, orders: Proposal) -> list[str]:
    """A feed that can not be loaded as it is: a comment, for whoever wants to complete it."""
    assert proposal.table is not None
    lines = [
        f"{proposal.table.name} looks like {proposal.feed.name}, and does not say "
        f"{', '.join(proposal.missing)}."
    ]
    lines += _view(proposal, orders)
    return lines + _feed(proposal)


def _view(proposal: Proposal, orders: Proposal) -> list[str]:
    """The view that takes what is missing from the order, where the order has it."""
    of_order = proposal.columns.get("order_id")
    order_id = orders.columns.get("order_id")
    if of_order is None or order_id is None or orders.table is None or proposal.table is None:
        return []
    if "connection" not in proposal.table.place:
        return []
    # an event of the order's is taken as its time: when it was placed
    same = {proposal.feed.event_time: "ordered_at"}
    sources = {name: orders.columns.get(same.get(name, name)) for name in proposal.missing}
    if not all(each and isinstance(_source(each), str) for each in sources.values()):
        return []
    wanted = ", ".join(f"o.{_sql(each)} as {name}" for name, each in sources.items() if each)
    return [
        "Its order does: make a view in the shop's database, and map that instead:",
        f"  create view {_quoted(proposal.table.name + '_of_orders')} as select i.*, {wanted}",
        f"  from {_quoted(proposal.table.name)} as i inner join {_quoted(orders.table.name)} as o"
        f" on o.{_sql(order_id)} = i.{_sql(of_order)}",
    ]


def _source(column: ProposedColumn) -> Any:
    return column.origin.get("column") if isinstance(column.origin, dict) else column.origin


def _sql(column: ProposedColumn) -> str:
    return _quoted(str(_source(column)))


def _quoted(name: str) -> str:
    """A name as SQL wants it, in quotes only where it has to be."""
    parts = [
        part if re.fullmatch("[a-z_][a-z0-9_]*", part) else f'"{part}"' for part in name.split(".")
    ]
    return ".".join(parts)


def _with_remark(line: str, remark: str) -> list[str]:
    if not remark:
        return [line]
    together = f"{line}  # {remark}"
    indent = " " * (len(line) - len(line.lstrip()))
    return [together] if len(together) <= WIDTH else [f"{indent}# {remark}", line]


def _absent(names: list[str]) -> list[str]:
    lines = ["# No table looks like one of these feeds. All are optional; each switches on:"]
    for name in names:
        lines += wrap(
            f"{name}: {FEEDS[name].switches_on}",
            WIDTH - 6, initial_indent="#   ", subsequent_indent="#     ",
        )  # fmt: skip
    return lines


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    )
    return str(text).removesuffix("...\n").rstrip("\n")
