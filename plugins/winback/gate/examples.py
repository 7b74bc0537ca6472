"""Examples of the rows that do not fit, masked: by our own SQL, never from the validator's lists.

Text shows its first character alone, because a mapping may have put a name where a number belongs.
Keys are keyed hashes, and words that only winback writes are nobody's; both stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg import Connection

N_EXAMPLES = 10
HASH = re.compile(r"[0-9a-f]{32}")
# a row as it was received can be asked for, but is not shown unasked
LEFT_OUT = {"content"}
# written by winback, or one of a closed list
OWN_WORDS = {"feed", "source", "reasons", "currency", "state"}


def examples_of(connection: Connection, rows: str) -> list[dict[str, str]]:
    """The first ten rows of a query, masked.

    Args:
        connection: Acts as the loader.
        rows: A query of `expectations/measures/`.
    """
    cursor = connection.execute(f"select * from ({rows}) as r limit {N_EXAMPLES}".encode())  # noqa: S608
    names = [column.name for column in cursor.description or ()]
    return [_masked(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _masked(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: mask(name, value) for name, value in row.items() if name not in LEFT_OUT}


def mask(name: str, value: Any) -> str:
    """A value as an example may show it.

    Args:
        name: Its column.
        value: As psycopg reads it.
    """
    if value is None:
        return "empty"
    if isinstance(value, list):
        return ", ".join(mask(name, each) for each in value)
    if isinstance(value, str) and name not in OWN_WORDS and not HASH.fullmatch(value):
        return f"{value[:1]}…"
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ") if hasattr(value, "hour") else value.isoformat())
    return str(value)
