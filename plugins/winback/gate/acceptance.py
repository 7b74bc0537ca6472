"""A failed gate that a person lets pass on purpose: what may be accepted, and how far it reaches.

An acceptance is recorded once and never changed. It holds for its own snapshot alone, and there
for the expectations that had failed: a new failure stops the flow again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from psycopg import Connection
from psycopg.errors import UniqueViolation

from winback.errors import WinbackError
from winback.gate.records import GateRun, read_findings, read_run
from winback.gate.subject import Finding


class NotAccepted(WinbackError):
    """A gate run can not be let pass; the message says why and what to do instead."""


def accept(connection: Connection, gate_run_id: int, reason: str, accepted_by: str) -> GateRun:
    """Records that a person lets a failed run pass; the caller commits.

    Args:
        connection: Acts as the sender.
        gate_run_id: The run.
        reason: Why.
        accepted_by: Who.

    Returns:
        The run as it is now.

    Raises:
        NotAccepted: The reason is empty, the run did not fail, is not the newest verdict on the
            newest live snapshot, was accepted before, or found something that nobody may accept.
        UnknownRun: There is none of that number.
    """
    if not reason.strip():
        raise NotAccepted('the reason is empty: say with --reason "…" why it may pass')
    run = read_run(connection, gate_run_id)
    _require_acceptable(connection, run)
    try:
        connection.execute(
            "insert into ops.gate_acceptance (gate_run_id, accepted_by, reason)"
            " values (%s, %s, %s)",
            (gate_run_id, accepted_by, reason.strip()),
        )
    except UniqueViolation as error:
        # somebody was faster
        raise NotAccepted(f"gate run {gate_run_id} was accepted by somebody else") from error
    return read_run(connection, gate_run_id)


def _require_acceptable(connection: Connection, run: GateRun) -> None:
    called = f"gate run {run.gate_run_id}"
    if run.is_passed:
        raise NotAccepted(f"{called} has passed: there is nothing to accept")
    if run.accepted_by is not None:
        raise NotAccepted(f"{called} was accepted already, by {run.accepted_by}: {run.reason}")
    newest = connection.execute(
        "select snapshot_id, as_of from ops.newest_snapshot where snapshot_id is not null"
    ).fetchone()
    if newest is None or newest[0] != run.snapshot_id:
        which = f"snapshot {newest[0]} of {newest[1]}" if newest else "no snapshot"
        raise NotAccepted(
            f"{called} is about snapshot {run.snapshot_id} of {run.as_of} ({run.purpose}), but only"
            f" the newest live one can be acted on, which is {which}: see ./winback gate list"
        )
    [(verdict,)] = connection.execute(
        "select gate_run_id from ops.gate_verdict where snapshot_id = %s and gate = %s",
        (run.snapshot_id, run.gate),
    ).fetchall()
    if verdict != run.gate_run_id:
        raise NotAccepted(
            f"{called} is outdated: gate {run.gate} ran again as {verdict}, see ./winback gate show"
            f" {verdict}"
        )
    blind = [str(f) for f in _failed(read_findings(connection, run.gate_run_id)) if _is_blind(f)]
    if blind:
        raise NotAccepted(
            f"{called} can not be accepted, because something was not checked at all: {blind[0]};"
            " mend it and run winback_ingest again"
        )


def accepted_run_that_covers(
    connection: Connection, gate: str, snapshot_id: int, findings: Sequence[Finding]
) -> int | None:
    """The accepted run of the same snapshot and gate that had all these failures already.

    Args:
        connection: Acts as the loader.
        gate: `raw` or `marts`.
        snapshot_id: What was judged.
        findings: What was found now.

    Returns:
        Its number; None when nothing failed, or something that nobody accepted.
    """
    failed = _failed(findings)
    if not failed or any(_is_blind(finding) for finding in failed):
        return None
    accepted = connection.execute(
        "select gate_run_id from ops.gate_acceptance inner join ops.gate_run using (gate_run_id)"
        " where gate = %s and snapshot_id = %s order by gate_run_id desc",
        (gate, snapshot_id),
    ).fetchall()
    for (gate_run_id,) in accepted:
        known = _identities(_failed(read_findings(connection, gate_run_id)))
        if _identities(failed) <= known:
            return int(gate_run_id)
    return None


def _failed(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.is_met]


def _identities(findings: Collection[Finding]) -> set[tuple[str, str, str | None]]:
    return {finding.identity for finding in findings}


def _is_blind(finding: Finding) -> bool:
    return not finding.can_be_accepted
