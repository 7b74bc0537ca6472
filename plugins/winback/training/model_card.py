"""The model card: one page that tells people what the value models can do, and what not.

Reads one model run, writes one HTML file that needs nothing else. What stands on it was measured by
`value_training.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from winback.model import basket_features, experience_features
from winback.settings import settings
from winback.training.model_runs import ModelRun

TEAL, AMBER, GREY = "#0f766e", "#d97706", "#9aa5a3"
SHOWN = "60"
SCORES = {
    "all_features": "all features",
    "all_features_in_steps": "all features, in steps of 60 days",
    "purchases": "features of purchases alone",
    "purchases_in_steps": "features of purchases alone, in steps of 60 days",
    "recency": "recency",
    "rfm": "RFM",
    "bg_nbd": "BG/NBD purchases",
    "clv": "BG/NBD purchases times amount",
}


def write(run: ModelRun, because: str, *, is_in_use: bool) -> Path:
    """Writes the card of a model run into `<home>/models`.

    Args:
        run: What was fitted and measured.
        because: Why it was taken into use, or not.
        is_in_use: Whether it was.
    """
    folder = settings().home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"value-{run.as_of}-{run.model_run_id}.html"
    path.write_text(render(run, because, is_in_use=is_in_use), encoding="utf-8")
    return path


def render(run: ModelRun, because: str, *, is_in_use: bool) -> str:
    """The card as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    window = run.metrics["windows"][SHOWN]
    return environment.get_template("model_card.html").render(
        run=run,
        because=because,
        is_in_use=is_in_use,
        comparisons=[
            {
                "days": days,
                "rows": _comparison(each["rows"], each["chosen"]),
                "chosen": SCORES[each["chosen"]],
                "because": each["chosen_because"],
            }
            for days, each in run.metrics["windows"].items()
        ],
        weights=_weights(run.parameters["returns"][SHOWN]),
        knows=_known_beside(run.parameters["returns"]),
        calibration=_svg(_calibration_chart(window["calibration"])),
        lift=_svg(_lift_chart(window["calibration"])),
        shown_days=SHOWN,
        bg_nbd=run.parameters["bg_nbd"],
        gamma_gamma=run.parameters["gamma_gamma"],
        rhythm=run.parameters["rhythm"],
        config=settings(),
    )


def _known_beside(returns: dict[str, Any]) -> list[str]:
    """What the models in use know beside purchases."""
    names = {name for stored in returns.values() for name in stored["names"]}
    known = {"reasons": experience_features.NAMES, "products": basket_features.NAMES}
    return [what for what, of in known.items() if not names.isdisjoint(of)]


def _comparison(rows: list[dict[str, Any]], chosen: str) -> list[dict[str, Any]]:
    """Means over dates, one row per population and candidate."""
    if not rows:
        return []
    frame = pd.DataFrame(rows)
    frame["level"] = frame["n_expected"] / frame["n_buyers"]
    means = frame.groupby(["population", "candidate"], sort=False).agg(
        n_dates=("day", "nunique"), auc=("auc", "mean"),
        rank_correlation=("rank_correlation", "mean"), level=("level", "mean"),
        n_expected=("n_expected", "sum"), n_buyers=("n_buyers", "sum"),
    )  # fmt: skip
    return [
        {str(name): value for name, value in row.items()}
        | {"score": SCORES[row["candidate"]], "is_own": row["candidate"] == chosen}
        for row in means.reset_index().to_dict("records")
    ]


def _weights(stored: dict[str, Any]) -> list[tuple[str, float]]:
    order = np.argsort(-np.abs(stored["weights"]))
    return [(stored["names"][place], float(stored["weights"][place])) for place in order[:8]]


def _calibration_chart(deciles: list[dict[str, float]]) -> Any:
    frame = pd.DataFrame(deciles, columns=["decile", "expected", "actual", "lift"])
    top = float(frame[["expected", "actual"]].to_numpy().max(initial=0.01)) * 1.05
    scale = alt.Scale(domain=[0, top])
    ideal = (
        alt.Chart(pd.DataFrame({"expected": [0, top], "actual": [0, top]}))
        .mark_line(color=GREY, strokeDash=[4, 4])
        .encode(x=alt.X("expected:Q", scale=scale), y=alt.Y("actual:Q", scale=scale))
    )
    points = (
        alt.Chart(frame)
        .mark_point(color=TEAL, filled=True, size=70)
        .encode(
            x=alt.X("expected:Q", title="expected share", axis=alt.Axis(format=".0%")),
            y=alt.Y("actual:Q", title="share that bought", axis=alt.Axis(format=".0%")),
        )
    )
    return (ideal + points).properties(width=300, height=230)


def _lift_chart(deciles: list[dict[str, float]]) -> Any:
    frame = pd.DataFrame(deciles, columns=["decile", "expected", "actual", "lift"])
    bars = (
        alt.Chart(frame)
        .mark_bar(color=AMBER)
        .encode(
            x=alt.X("decile:O", title="tenth of the customers, best first",
                    axis=alt.Axis(labelAngle=0)),
            y=alt.Y("lift:Q", title="times the average"),
        )
    )  # fmt: skip
    average = alt.Chart(pd.DataFrame({"y": [1]})).mark_rule(color=GREY).encode(y="y:Q")
    return (bars + average).properties(width=300, height=230)


def _svg(chart: Any) -> str:
    finished = chart.configure_view(strokeWidth=0).configure_axis(
        labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e5e7e6"
    )
    made: str = vl_convert.vegalite_to_svg(json.dumps(finished.to_dict()))
    return made
