"""Whether a snapshot may be acted on: select, outreach and its last check ask here."""

from __future__ import annotations

from datetime import date

import psycopg

from winback.errors import DispatchRefused

GATES = ("raw", "marts")


def require_fit_to_act(connection: psycopg.Connection, snapshot_id: int, as_of: date) -> None:
    """Refuses a snapshot that nobody may be selected or written to from.

    Args:
        connection: As the sender.
        snapshot_id: The snapshot to act on.
        as_of: The date that it should be of.

    Raises:
        DispatchRefused: It is a backfill, of another date, not the newest, or did not pass.
    """
    row = connection.execute(
        "select purpose, as_of, snapshot_id = (select snapshot_id from ops.newest_snapshot)"
        " from ops.snapshot where snapshot_id = %s",
        (snapshot_id,),
    ).fetchone()
    if row is None:
        raise DispatchRefused(f"there is no snapshot {snapshot_id}: run winback_ingest first")
    purpose, of_date, is_newest = row
    if purpose != "live":
        raise DispatchRefused(
            f"snapshot {snapshot_id} is a {purpose}: loads and backfills compute, never send"
        )
    if of_date != as_of:
        raise DispatchRefused(f"snapshot {snapshot_id} is of {of_date}, not of {as_of}")
    if not is_newest:
        # an older one does not know who withdrew since, and the marts are of another date
        raise DispatchRefused(
            f"snapshot {snapshot_id} of {as_of} is not the newest complete one: what is planned"
            " goes out with the newest"
        )
    if not has_passed(connection, snapshot_id):
        raise DispatchRefused(
            f"snapshot {snapshot_id} of {as_of} has not passed the gates raw and marts: nothing is"
            " sent; ./winback gate list says which, mend the data and run winback_ingest again"
        )


def has_passed(connection: psycopg.Connection, snapshot_id: int) -> bool:
    """Whether the newest verdict of every gate on a snapshot is a pass; no verdict is none.

    A failure that a person let pass on purpose counts as a pass.
    """
    verdicts: dict[str, bool] = dict(
        connection.execute(
            "select gate, is_fit from ops.gate_verdict where snapshot_id = %s", (snapshot_id,)
        ).fetchall()
    )
    return verdicts == dict.fromkeys(GATES, True)
