"""What a gate looks at, what was measured of it, and what came of it: the nouns of the step gate.

A measure is one number about a batch, such as how many per cent of a feed's rows are in quarantine.
It is taken by our own SQL, in `expectations/measures/`, so that it can be kept as history and
explained row by row. What is expected of it stands in `expectations/<gate>.py`; Great Expectations
judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Subject:
    """Something that a gate looks at.

    Attributes:
        name: What it is called in results, such as `raw.orders`.
        query: The rows it consists of.
        expectations: Great Expectations objects; each carries meta `why` and `source`.
        indispensable: Columns whose expectations nobody may let pass on purpose, because without
            them nothing was checked at all.
    """

    name: str
    query: str
    expectations: Sequence[Any]
    indispensable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Measure:
    """One number about a batch.

    Attributes:
        about: The subject it belongs to.
        name: What is measured; ends with its unit (`_pct`, `_points`, `_days`) or begins with `n_`.
        value: The number; None where there is nothing to judge yet, and then `detail` says why.
        n_rows: How many rows do not fit.
        n_of: Of how many.
        detail: What the number was compared with.
        rows: A query that gives the rows that do not fit; without personal columns.
    """

    about: str
    name: str
    value: float | None
    n_rows: int | None = None
    n_of: int | None = None
    detail: str | None = None
    rows: str | None = None


@dataclass(frozen=True)
class Earlier:
    """The newest earlier live snapshot that passed the same gate, for comparison.

    Attributes:
        snapshot_id: Its id.
        as_of: Its date.
        values: What was measured of it, by subject and measure.
    """

    snapshot_id: int
    as_of: date
    values: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Batch:
    """What is judged.

    Attributes:
        snapshot_id: The snapshot.
        as_of: Its date.
        is_live: Whether it may be acted on; a backfill is compared with nothing.
        suffix: Suffix of the schemas its models were built in.
        max_age_days: The feeds that were extracted; each with how old its newest fact may be, or
            None where that is not judged.
        earlier: What it is compared with; None for the first one and for a backfill.
    """

    snapshot_id: int
    as_of: date
    is_live: bool
    suffix: str = ""
    max_age_days: Mapping[str, int | None] = field(default_factory=dict)
    earlier: Earlier | None = None

    def before(self, about: str, name: str) -> float | None:
        """What was measured the time before; None when it was not."""
        return self.earlier.values.get((about, name)) if self.earlier else None

    def no_history(self) -> str:
        """Why there is nothing to compare with."""
        return "no history yet" if self.is_live else "a backfill is compared with nothing"


def measured(
    batch_of: int, name: str, expectations: Sequence[Any], indispensable: Iterable[str] = ()
) -> Subject:
    """A subject whose columns are the measures that its expectations name.

    Args:
        batch_of: The snapshot that was measured.
        name: The subject, and what the measures are about.
        expectations: What is expected of them.
        indispensable: As in `Subject`.
    """
    names = dict.fromkeys(each.column for each in expectations)
    columns = ", ".join(
        f"cast(max(value) filter (where measure = '{each}') as float8) as {each}" for each in names
    )
    # without a measure there is no row, and that fails
    query = (
        f"select {columns} from ops.gate_measure"  # noqa: S608 - put together from declarations
        f" where snapshot_id = {int(batch_of)} and about = '{name}' having count(*) > 0"
    )
    return Subject(name, query, expectations, indispensable=frozenset(indispensable))


@dataclass(frozen=True)
class Finding:
    """What one expectation found; never a value of a row, but for masked examples.

    Attributes:
        subject: What was looked at.
        expectation: Great Expectations' name of the rule.
        column: The measure or column.
        expected: What had to be, in words.
        is_met: Whether it was; True as well where it could not be judged yet.
        observed: What was seen, in words.
        n_unexpected: How many rows do not fit, where they can be counted.
        why: Why it is expected.
        source: Where that comes from.
        not_judged: Why it could not be judged yet; None where it was.
        can_be_accepted: Whether a person may let it pass on purpose.
        rows: The query that gives the rows that do not fit.
        examples: Some of them, masked: column to text.
    """

    subject: str
    expectation: str
    column: str | None
    expected: str
    is_met: bool
    observed: str
    n_unexpected: int | None
    why: str
    source: str
    not_judged: str | None = None
    can_be_accepted: bool = True
    rows: str | None = None
    examples: Sequence[Mapping[str, str]] = ()

    @property
    def identity(self) -> tuple[str, str, str | None]:
        """What makes it the same expectation in another run."""
        return self.subject, self.expectation, self.column

    def __str__(self) -> str:
        column = f"({self.column})" if self.column else ""
        return (
            f"{self.expectation}{column} on {self.subject}: {self.observed},"
            f" expected {self.expected}"
        )
