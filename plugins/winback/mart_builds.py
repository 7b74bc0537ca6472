"""What was built from what: decides whether a build may add to the last one, and since when.

A day changes few customers, so heavy models keep what they have and replace the rows of those
alone. That holds only while everything else is as it was: SQL, settings and rhythm, the order of
dates, and no attempt in between that got half way under others. Otherwise all is built anew, which
gives the same tables. Who takes rows out of raw tables by hand empties `ops.mart_build` as well.
What dbt does with the answer is `dbt_build.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

import psycopg

from winback.warehouse import connection as warehouse


@dataclass(frozen=True)
class Since:
    """The complete build that a build adds to.

    Attributes:
        as_of: Its date.
        started_at: When it began; what was recorded later it did not see.
        new_snapshots: Batches that brought rows which it may not have seen.
        is_second_attempt: A build since then failed, perhaps when some tables were changed.
    """

    as_of: date
    started_at: datetime
    new_snapshots: list[int]
    is_second_attempt: bool


def fingerprint(project: Path, variables: Mapping[str, object]) -> str:
    """Of all that decides what dbt makes of the same rows.

    Args:
        project: The dbt project's folder.
        variables: Its variables, without the date.
    """
    digest = sha256(repr(sorted(variables.items())).encode())
    for folder in ("models", "macros"):
        for path in sorted((project / folder).rglob("*.*")):
            digest.update(f"{path.relative_to(project)}\n".encode())
            digest.update(path.read_bytes())
    digest.update((project / "dbt_project.yml").read_bytes())
    return digest.hexdigest()


def begin_stage(as_of: date, suffix: str, stage_fingerprint: str) -> Since | None:
    """Records that a build begins.

    Args:
        as_of: Its date.
        suffix: Of its schemas.
        stage_fingerprint: From `fingerprint`.

    Returns:
        What it may add to; None when everything must be built anew.
    """
    with warehouse.connect("loader") as connection:
        base = _base(connection, suffix)
        attempts = [] if base is None else _attempts_since(connection, suffix, base)
        is_addable = all(
            each.as_of <= as_of and each.stage_fingerprint == stage_fingerprint for each in attempts
        )
        base = base if is_addable else None
        connection.execute(
            "insert into ops.mart_build (schema_suffix, as_of, newest_snapshot_id,"
            " added_to_build_id, stage_fingerprint)"
            " select %s, %s, coalesce(max(snapshot_id), 0), %s, %s from ops.snapshot",
            (suffix, as_of, base, stage_fingerprint),
        )
        return None if base is None else _since(connection, base, len(attempts) > 1)


def begin_model(suffix: str, model_fingerprint: str) -> Since | None:
    """Records that the models of the newest staged build begin; what they may add to, or None."""
    with warehouse.connect("loader") as connection:
        row = connection.execute(
            "select mart_build_id, added_to_build_id from ops.mart_build"
            " where schema_suffix = %s order by mart_build_id desc limit 1",
            (suffix,),
        ).fetchone()
        if row is None:
            return None
        own, base = row
        attempts = [] if base is None else _attempts_since(connection, suffix, base)
        connection.execute(
            "update ops.mart_build set model_fingerprint = %s, completed_at = null"
            " where mart_build_id = %s",
            (model_fingerprint, own),
        )
        begun = [each for each in attempts if each.model_fingerprint is not None]
        if base is None or any(each.model_fingerprint != model_fingerprint for each in begun):
            return None
        return _since(connection, base, len(begun) > 1)


def complete(suffix: str) -> None:
    """Records that the newest build is whole, so that the next may add to it."""
    with warehouse.connect("loader") as connection:
        connection.execute(
            "update ops.mart_build set completed_at = clock_timestamp()"
            " where mart_build_id = (select max(mart_build_id) from ops.mart_build"
            "  where schema_suffix = %s)",
            (suffix,),
        )


@dataclass(frozen=True)
class _Attempt:
    as_of: date
    stage_fingerprint: str
    model_fingerprint: str | None


def _base(connection: psycopg.Connection, suffix: str) -> int | None:
    [(base,)] = connection.execute(
        "select max(mart_build_id) from ops.mart_build"
        " where schema_suffix = %s and completed_at is not null",
        (suffix,),
    ).fetchall()
    found: int | None = base
    return found


def _attempts_since(connection: psycopg.Connection, suffix: str, base: int) -> list[_Attempt]:
    """The complete build and every one after it: each may have changed some of the tables."""
    rows = connection.execute(
        "select as_of, stage_fingerprint, model_fingerprint from ops.mart_build"
        " where schema_suffix = %s and mart_build_id >= %s order by mart_build_id",
        (suffix, base),
    ).fetchall()
    return [_Attempt(*row) for row in rows]


def _since(connection: psycopg.Connection, base: int, is_second_attempt: bool) -> Since:
    [row] = connection.execute(
        "select as_of, started_at, array("
        "  select snapshot_id from ops.snapshot"
        "  where snapshot_id > newest_snapshot_id or completed_at > started_at"
        # one that still loads; of one that ended without being complete nothing more will come
        "  or (completed_at is null and created_at > started_at - interval '1 day')"
        "  order by snapshot_id)"
        " from ops.mart_build where mart_build_id = %s",
        (base,),
    ).fetchall()
    as_of, started_at, new_snapshots = row
    return Since(as_of, started_at, new_snapshots, is_second_attempt)
