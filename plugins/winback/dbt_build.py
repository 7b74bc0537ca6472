"""The steps stage and model: dbt builds and tests one part of the project, in this process.

What is built is in `dbt_project/`. Nothing here selects, counts or knows a column.
"""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from winback import mart_builds
from winback.errors import ModelBuildFailed
from winback.privacy import country_rules, erasure
from winback.select import customer_rules
from winback.settings import PROJECT, settings
from winback.training import rhythm_training, scoring
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

PROJECT_DIR = PROJECT / "dbt_project"
# Rhythm and value models are fitted to these, and score with them, before the rest is built. And
# what else needs nothing but staging: it is built while a connection would have nothing to do.
STAGE = [
    "staging", "int_customers__merged", "int_customers__touched", "int_orders__daily",
    "int_objections__standing",
    "int_reasons__described", "int_reasons__stated", "int_experiences__dated",
    "int_products__bought", "int_baskets__described",
    "int_orders__touched", "int_customers__known",
    "int_customers__counted", "int_deliveries__troubled", "int_evidence__described",
    "int_products__changed", "int_returns__dated", "int_trouble__dated",
    "int_warning_signs__used",
]  # fmt: skip
PARTS = {
    "stage": (STAGE, []),
    "model": (["intermediate", "marts"], STAGE),
}
VARIABLES = (
    "business_timezone", "inactive_days", "recovery_window_days", "complaint_days",
    "bad_review_days", "failed_delivery_days", "season_days", "season_share_pct", "farewell_days",
    "warning_language", "value_months", "discount_pct", "usual_margin_pct",
)  # fmt: skip


def schema_suffix(snapshot_id: int) -> str:
    """What the schemas of a snapshot are called: nothing for the newest date, else its own suffix.

    A backfill, and a date before the newest one, builds beside the marts that outreach and BI
    tools read, never into them.
    """
    with warehouse.connect("loader") as connection:
        row = connection.execute(
            "select as_of, purpose, as_of >= (select as_of from ops.newest_snapshot)"
            " from ops.snapshot where snapshot_id = %s",
            (snapshot_id,),
        ).fetchone()
    if row is None:
        raise ModelBuildFailed(f"there is no snapshot {snapshot_id}: run winback_ingest first")
    as_of, purpose, is_newest = row
    return "" if purpose == "live" and is_newest else f"_asof_{as_of:%Y%m%d}"


def build(part: str, as_of: date, suffix: str = "") -> dict[str, str]:
    """Builds and tests the models of one step.

    Args:
        part: `stage` or `model`.
        as_of: Facts before 00:00 of this business day count.
        suffix: Appended to every schema, from `schema_suffix`.

    Returns:
        The status of every model and test, by name.

    Raises:
        ModelBuildFailed: A model or a test failed; the message names the first ones.
    """
    nodes = run_part(["build", "--exclude-resource-type", "unit_test"], part, as_of, suffix)
    failed = {name: message for name, (status, message) in nodes.items() if status in FAILED}
    if failed:
        first = "; ".join(f"{name}: {message}" for name, message in list(failed.items())[:3])
        n_skipped = sum(status == "skipped" for status, _ in nodes.values())
        raise ModelBuildFailed(
            f"dbt: {len(failed)} of {len(nodes)} failed, {n_skipped} were skipped: {first}"
        )
    return {name: status for name, (status, _) in nodes.items()}


def run_part(
    command: list[str], part: str, as_of: date, suffix: str = ""
) -> dict[str, tuple[str, str]]:
    """Runs a dbt command on the models of one step; see `invoke` for what it gives.

    What SQL can not compute, the scores of the value models, is written before the marts read it.
    Heavy models add to the last build where they may; `mart_builds.py` knows.

    Args:
        command: Such as `["run"]`.
        part: `stage` or `model`.
        as_of: Facts before 00:00 of this business day count.
        suffix: Appended to every schema.
    """
    begun_at = datetime.now(UTC)
    selected, excluded = PARTS[part]
    arguments = [*command, "--select", *selected]
    if excluded:
        arguments += ["--exclude", *excluded]
    if part == "stage":
        made_of = mart_builds.fingerprint(PROJECT_DIR, _settings())
        since = mart_builds.begin_stage(as_of, suffix, made_of)
        # the step model writes the same one
        nodes = invoke(arguments, as_of, suffix, since=since, writes_manifest=False)
        erasure.sweep_after_build(begun_at)
        return nodes
    rhythm = rhythm_training.in_use(as_of, suffix)
    customer_rules.store(customer_rules.read(settings().customer_rules))
    country_rules.store(country_rules.read(settings().country_rules))
    scoring.score(as_of, suffix)
    made_of = mart_builds.fingerprint(PROJECT_DIR, _settings() | rhythm)
    since = mart_builds.begin_model(suffix, made_of)
    # a build that adds to another is of the same project, whose manifest stands; writing it takes
    # longer than most models
    writes_manifest = not suffix and (since is None or not (_target() / "manifest.json").exists())
    nodes = invoke(arguments, as_of, suffix, rhythm, since, writes_manifest=writes_manifest)
    erasure.sweep_after_build(begun_at)
    if not any(status in FAILED for status, _ in nodes.values()):
        mart_builds.complete(suffix)
    return nodes


# what depends on a failed model or test is skipped
FAILED = ("error", "fail", "runtime error")


def invoke(
    arguments: list[str],
    as_of: date | None,
    suffix: str = "",
    rhythm: Mapping[str, float] | None = None,
    since: mart_builds.Since | None = None,
    *,
    writes_manifest: bool = True,
) -> dict[str, tuple[str, str]]:
    """Runs one dbt command and reads its results back: node name to (status, message).

    Args:
        arguments: What dbt is to do.
        as_of: Facts before 00:00 of this business day count; None: what the project says by itself,
            for its unit tests.
        suffix: Appended to every schema.
        rhythm: Variables of the rhythm in use, where its models are built.
        since: The build that this one adds to; without it all is built anew.
        writes_manifest: False writes the results of the run alone.

    Raises:
        ModelBuildFailed: dbt could not run at all, for instance on a syntax error.
    """
    with _without_looking_for_garbage():
        from dbt.cli.main import dbtRunner

    config = settings()
    target = _target()
    of_this_run = {} if as_of is None else _of_this_run(as_of, rhythm or {}, since)
    flags = {
        "--project-dir": PROJECT_DIR,
        "--profiles-dir": PROJECT_DIR,
        "--target-path": target,
        "--log-path": config.home / "logs" / "dbt",
        "--vars": json.dumps({"schema_suffix": suffix, **_settings()}),
    }
    if since is None and {"run", "build"} & set(arguments):
        arguments = [*arguments, "--full-refresh"]
    options = ["--no-use-colors", *(str(word) for pair in flags.items() for word in pair)]
    if not writes_manifest:
        options.append("--no-write-json")
    with _environment({**_login(), "DBT_RUN_VALUES": json.dumps(of_this_run)}):
        result = dbtRunner().invoke([*arguments, *options])
    if result.exception is not None:
        raise ModelBuildFailed(f"dbt: {_first_line(result.exception)}") from result.exception
    if not writes_manifest:
        run: Any = result.result
        run.write(str(target / "run_results.json"))
    nodes: dict[str, tuple[str, str]] = {}
    for node in _results(result.result):
        nodes[node.node.name] = (str(node.status), (node.message or "").strip().split("\n")[-1])
        log.info("%-7s %6.2f s  %s", node.status, node.execution_time, node.node.name)
    return nodes


def _target() -> Path:
    return settings().home / "dbt" / "target"


def _settings() -> dict[str, object]:
    config = settings()
    values = {name: getattr(config, name) for name in VARIABLES}
    return values | {"advertisers": config.advertiser_names() or []}


def _of_this_run(
    as_of: date, rhythm: Mapping[str, float], since: mart_builds.Since | None
) -> dict[str, object]:
    """What the macro `of_this_run` gives: the date, the rhythm, and whom the day concerns.

    Nobody where all is built anew.
    """
    config = settings()
    built_as_of = as_of if since is None else since.as_of
    built_at = datetime.now(UTC) if since is None else since.started_at
    return {
        "as_of": as_of.isoformat(),
        "as_of_at": config.as_of_at(as_of).isoformat(sep=" "),
        **rhythm,
        "built_as_of": built_as_of.isoformat(),
        "built_as_of_at": config.as_of_at(built_as_of).isoformat(sep=" "),
        "built_at": built_at.isoformat(sep=" "),
        "new_snapshots": [] if since is None else since.new_snapshots,
        "is_second_attempt": since is not None and since.is_second_attempt,
    }


def _results(result: Any) -> list[Any]:
    return list(getattr(result, "results", None) or [])


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


def _login() -> dict[str, str]:
    """The warehouse's address, as profiles.yml asks for it."""
    parts = urlsplit(warehouse.url())
    return {
        "DBT_WAREHOUSE_HOST": parts.hostname or "127.0.0.1",
        "DBT_WAREHOUSE_PORT": str(parts.port or 5432),
        "DBT_WAREHOUSE_USER": unquote(parts.username or ""),
        "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": unquote(parts.password or ""),
        "DBT_WAREHOUSE_DATABASE": parts.path.lstrip("/"),
    }


@contextmanager
def _without_looking_for_garbage() -> Iterator[None]:
    """For a large import: nothing of it is garbage, and looking takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets what dbt reads from the environment, and takes it back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
