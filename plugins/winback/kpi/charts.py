"""Charts of the KPI marts, each as one Vega-Lite definition.

Rows in, definition out; where they are shown is the business of `web/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

TEAL, AMBER, GREY, LIGHT = "#0f766e", "#d97706", "#9aa5a3", "#dfe3e1"
ARMS = ("treated", "holdout", "excluded", "in no campaign")
STATES = ("active", "at_risk", "sleeping", "inactive", "angry", "cancelled", "returned")
Rows = Sequence[dict[str, Any]]


def inactive_over_time(counts: Rows) -> dict[str, Any]:
    """The share of customers on the six-month list, day by day.

    Args:
        counts: Rows of `rpt_customers_daily`.
    """
    frame = pd.DataFrame(counts, columns=["as_of", "n_customers", "n_six_months"])
    frame["share"] = frame["n_six_months"] / frame["n_customers"].where(frame["n_customers"] > 0)
    frame["as_of"] = pd.to_datetime(frame["as_of"])
    day = alt.X("as_of:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=6, grid=False))
    # as many decimals as the ticks need: the share may move by less than one percent
    share = alt.Y(
        "share:Q",
        title=None,
        axis=alt.Axis(format=".2~%", tickCount=5),
        scale=alt.Scale(zero=False),
    )
    base = alt.Chart(frame).encode(
        x=day,
        y=share,
        tooltip=[
            alt.Tooltip("as_of:T", title="on", format="%Y-%m-%d"),
            alt.Tooltip("share:Q", title="inactive", format=".1%"),
            alt.Tooltip("n_six_months:Q", title="customers", format=","),
        ],
    )
    line = base.mark_line(color=TEAL, strokeWidth=2.5, interpolate="monotone")
    point = base.mark_point(color=TEAL, filled=True, size=60, opacity=0 if len(frame) > 1 else 1)
    return _finished(line + point, 330)


def naive_beside_incremental(cohorts: Rows) -> dict[str, Any]:
    """What a campaign seems to have won beside what it really added, per cohort.

    Args:
        cohorts: Rows of `rpt_kpi_daily` for one as-of date and the segment `all`; open windows are
            left out.
    """
    closed = [row for row in cohorts if row["incremental_pct"] is not None]
    rows = []
    for row in closed:
        is_pooled = row["segment"] == "all_cohorts"
        cohort = f"{row['campaign_id']} {'all closed' if is_pooled else row['cohort']}"
        naive, effect = row["naive_pct"], row["incremental_pct"]
        if naive is not None:
            rows.append((cohort, "naive: all who came back", naive, naive, naive))
        rows.append(
            (
                cohort,
                "incremental: more than the holdout",
                effect,
                row["incremental_low_pct"],
                row["incremental_high_pct"],
            )
        )
    frame = pd.DataFrame(rows, columns=["cohort", "figure", "value", "low", "high"])
    frame = frame.astype({"value": float, "low": float, "high": float})
    colour = alt.Color(
        "figure:N",
        title=None,
        legend=alt.Legend(orient="top", labelLimit=400),
        scale=alt.Scale(
            domain=["naive: all who came back", "incremental: more than the holdout"],
            range=[AMBER, TEAL],
        ),
    )
    base = alt.Chart(frame).encode(
        y=alt.Y("cohort:N", title=None, axis=alt.Axis(labelLimit=260, labelPadding=8)),
        yOffset=alt.YOffset("figure:N", scale=alt.Scale(paddingInner=0.2, paddingOuter=0.6)),
        color=colour,
        tooltip=["cohort", "figure", *(alt.Tooltip(f"{c}:Q", format=".2f") for c in VALUES)],
    )
    zero = alt.Chart().mark_rule(color=GREY, strokeDash=[4, 4]).encode(x=alt.datum(0))
    interval = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title="percentage points", axis=alt.Axis(tickCount=10)), x2="high:Q"
    )
    value = base.mark_point(filled=True, size=110, opacity=1).encode(x="value:Q")
    layers = alt.layer(zero, interval, value, data=frame)
    return _finished(layers, 30 + 60 * frame["cohort"].nunique())


VALUES = ("value", "low", "high")


def candidates_by_state(counts: Rows) -> dict[str, Any]:
    """How many candidates of each state were written to, held out or excluded.

    Args:
        counts: Rows with state, arm and n.
    """
    frame = pd.DataFrame(counts, columns=["state", "arm", "n"])
    chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("sum(n):Q", title=None, axis=alt.Axis(format="~s", tickCount=5)),
            y=alt.Y("state:N", title=None, sort=list(STATES)),
            color=alt.Color(
                "arm:N",
                title=None,
                sort=list(ARMS),
                legend=alt.Legend(orient="top"),
                scale=alt.Scale(domain=list(ARMS), range=[TEAL, AMBER, GREY, LIGHT]),
            ),
            order=alt.Order("order:Q"),
            tooltip=["state", "arm", alt.Tooltip("n:Q", format=",")],
        )
        .transform_calculate(order=f"indexof({list(ARMS)}, datum.arm)")
    )
    return _finished(chart, 110)


def _finished(chart: Any, height: int) -> dict[str, Any]:
    return _configured(chart.properties(width="container", height=height))


def _configured(chart: Any) -> dict[str, Any]:
    styled = (
        chart.configure(font="system-ui, sans-serif", background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            domain=False,
            ticks=False,
            gridColor="#e7e5e0",
            labelColor="#51605d",
            labelFontSize=12,
            labelPadding=6,
        )
        .configure_legend(labelColor="#51605d", labelFontSize=12)
    )
    definition: dict[str, Any] = styled.to_dict()
    return definition
