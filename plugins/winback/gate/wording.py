"""A measure in words: its number with the unit that its name says, and what it was counted from."""

from __future__ import annotations

from winback.gate.subject import Measure


def with_unit(measure: Measure) -> str:
    """Such as `10.0 % (2,350 of 23,570 rows)`; only for a measure that has a value."""
    value = measure.value
    assert value is not None
    if measure.name.endswith("_pct"):
        # a share that rounds to 0.0 % and fails all the same would look like a mistake
        text = f"{value:.1f} %" if value >= 0.1 or value <= 0 else f"{value:.4f} %"
    elif measure.name.endswith("_points"):
        text = f"{value:+.1f} points"
    elif measure.name.endswith("_days"):
        text = "1 day" if value == 1 else f"{value:,.0f} days"
    else:
        text = f"{value:,.0f}"
    remarks = []
    if measure.n_rows is not None and measure.n_of is not None:
        remarks.append(f"{measure.n_rows:,} of {measure.n_of:,} rows")
    if measure.detail:
        remarks.append(measure.detail)
    return f"{text} ({'; '.join(remarks)})" if remarks else text
