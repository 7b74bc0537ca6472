"""The record of fitted models, `ops.model_run`: written once, looked up by as-of date.

What is fitted, and how it is judged, belongs to the module of each model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg


@dataclass(frozen=True)
class ModelRun:
    """A model that is in use.

    Attributes:
        model_run_id: Its key in `ops.model_run`.
        as_of: Facts before 00:00 of this day were known.
        parameters: What was fitted, by name.
        metrics: How it fared on the past.
    """

    model_run_id: int
    as_of: date
    parameters: dict[str, Any]
    metrics: dict[str, Any]


def newest_in_use(connection: psycopg.Connection, model: str, as_of: date) -> ModelRun | None:
    """The model that counts for an as-of date: the newest in use that was fitted up to then."""
    row = connection.execute(
        "select model_run_id, as_of, parameters, metrics from ops.model_run"
        " where model = %s and as_of <= %s and is_in_use"
        " order by as_of desc, model_run_id desc limit 1",
        (model, as_of),
    ).fetchone()
    return None if row is None else ModelRun(*row)


def record(
    connection: psycopg.Connection,
    model: str,
    as_of: date,
    parameters: dict[str, Any],
    metrics: dict[str, Any],
    *,
    is_in_use: bool,
    because: str,
) -> int:
    """Writes one fit; returns its id. The caller commits.

    Args:
        connection: As the loader.
        model: Name of the model.
        as_of: Facts before 00:00 of this day were known.
        parameters: What was fitted.
        metrics: How it fared on the past.
        is_in_use: Whether it counts from now on.
        because: Why, in words for people.
    """
    row = connection.execute(
        "insert into ops.model_run (model, as_of, parameters, metrics, is_in_use, because)"
        " values (%s, %s, %s, %s, %s, %s) returning model_run_id",
        (
            model,
            as_of,
            json.dumps(parameters, allow_nan=False),
            json.dumps(metrics, allow_nan=False),
            is_in_use,
            because,
        ),
    ).fetchone()
    assert row is not None  # an insert returns its row
    return int(row[0])
