"""How well a table or column of a source looks like one of a feed, by its name and type.

The words are in `synonyms.py`; what is proposed from this is `proposal.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from winback.extract.feeds import Column, Feed
from winback.extract.proposal import synonyms

_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e"})
_PREFIX = "(tbl|tab|t|dim|fact|fct|vw|v|shop|crm|erp|app|web)?"


def compact(name: str) -> str:
    """A name in small letters without separators, umlauts written out."""
    return re.sub("[^a-z0-9]", "", name.lower().translate(_LETTERS))


def table_likeness(table: str, feed: Feed) -> float:
    """How much a table's name looks like the feed's: 1 for its own name, 0 for not at all."""
    name = compact(table.rpartition(".")[2])
    if name == compact(feed.name):
        return 1.0
    pattern = synonyms.TABLES.get(feed.name, re.escape(compact(feed.name)))
    if re.fullmatch(pattern, name):
        return 0.9
    if re.fullmatch(f"{_PREFIX}({pattern})", name):
        return 0.7
    return 0.0


def likely_columns(
    column: Column, feed: Feed, present: Mapping[str, str], *, is_text: bool = False
) -> list[str]:
    """The columns of a source that may be a feed's column, the likeliest first.

    Args:
        column: The feed's column.
        feed: The feed.
        present: The source's columns with their types.
        is_text: Whether the source knows no types, as a text file.
    """
    found = []
    for name, kind in present.items():
        if is_text or _fits(column, kind):
            rank = _rank(compact(name), column, feed)
            if rank is not None:
                found.append((rank, name))
    return [name for _, name in sorted(found, key=lambda each: each[0])]


def of_fitting_type(column: Column, present: Mapping[str, str]) -> list[str]:
    """All columns of a source that a feed's column can take: by type, and ids by their name."""
    fitting = [name for name, kind in present.items() if _fits(column, kind)]
    if column.kind == "customer" or column.references:
        return [name for name in fitting if re.search(f"{synonyms.NUMBER}$", compact(name))]
    return fitting


def value_class(kind: str) -> str:
    """What a type holds: time, number, truth, text, or other; as databases and Arrow call it."""
    kind = kind.lower()
    if kind.endswith("[]") or kind.startswith(
        ("json", "xml", "bytea", "binary", "struct", "list", "map", "interval", "money")
    ):
        return "other"
    if kind.startswith(("timestamp", "date")):
        return "time"
    if kind.startswith("bool"):
        return "truth"
    numbers = ("int", "uint", "bigint", "smallint", "numeric", "decimal", "double", "float", "real")
    return "number" if kind.startswith(numbers) else "text"


def _fits(column: Column, kind: str) -> bool:
    classes: dict[str, tuple[str, ...]] = {
        "timestamp": ("time",),
        "cents": ("number",),
        "integer": ("number",),
        "number": ("number",),
        "boolean": ("truth",),
        "email": ("text",),
        "currency": ("text",),
    }
    return value_class(kind) in classes.get(column.kind, ("text", "number"))


def _rank(name: str, column: Column, feed: Feed) -> int | None:
    for rank, pattern in enumerate(_patterns(column, feed)):
        if pattern.fullmatch(name):
            return rank
    return None


@cache
def _patterns(column: Column, feed: Feed) -> list[re.Pattern[str]]:
    """From the best to the weakest: the feed's own word, other words, words of any table."""
    own = synonyms.ENTITIES.get(feed.name, re.escape(compact(feed.name)))
    words = [re.escape(compact(column.name)), *synonyms.WORDS.get(column.name, ())]
    if column.kind == "timestamp":
        verbs = synonyms.TIMES.get(column.name, re.escape(compact(column.name)))
        words += [f"({verbs}){synonyms.TIME}|date({verbs})"]
    pointed_to = "customers" if column.kind == "customer" else column.references
    is_own_id = feed.key == (column.name,)
    if column.name not in synonyms.WORDS and (pointed_to or is_own_id):
        entity = own if is_own_id else synonyms.ENTITIES[str(pointed_to)]
        words += ["id"] if is_own_id else []
        words += [f"{entity}{synonyms.NUMBER}", entity]
    weak = [synonyms.NUMBER] if is_own_id else []
    if column.name == feed.event_time:
        weak += synonyms.CREATED
    # a column often repeats what its table is about
    ordered = [*words, *(f"{own}({word})" for word in words), *weak]
    return [re.compile(pattern) for pattern in ordered]
