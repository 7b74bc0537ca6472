"""Batches that wait for their time: what cancelling and pausing one does, as the journal keeps it.

Source: the provider's public page "Cancel scheduled sends". Where it promises nothing (a batch
cancelled in the last ten minutes) the sandbox says yes and sends all the same, so that nobody comes
to rely on it. The requests are in `schedule_api`.
"""

from __future__ import annotations

import secrets
from typing import Any

from winback.sandbox.journal import Journal
from winback.sandbox.value_rules import Problem

MOST_AT_ONCE = 10
LAST_SECONDS = 10 * 60
_EXPIRED_SECONDS = 72 * 3600
UNKNOWN_BATCH = Problem("The batch_id is not valid.", "batch_id", "message.batch_id")
_WORDS = ("cancel", "pause")
_OVERDUE = (
    "select s.request_number from scheduled s join batch b on b.batch_id = s.batch_id "
    "where b.status = 'cancel' and s.send_at <= ?1 or b.status = 'pause' and s.send_at <= ?2"
)


def new_batch(journal: Journal) -> str:
    """Makes up a batch id."""
    batch_id = secrets.token_urlsafe(24)
    with journal.transaction() as connection:
        connection.execute("insert into batch (batch_id) values (?)", (batch_id,))
    return batch_id


def is_known_batch(journal: Journal, batch_id: Any) -> bool:
    """Whether a request may carry this id; none at all is fine."""
    return not batch_id or bool(
        journal.read("select 1 from batch where batch_id = ?", (str(batch_id),))
    )


def told(journal: Journal, batch_id: str = "") -> list[dict[str, str]]:
    """Which batches were cancelled or paused, as the provider lists them."""
    rows = journal.read(
        "select batch_id, told from batch where told <> '' and (?1 = '' or batch_id = ?1)"
        " order by batch_id",
        (batch_id,),
    )
    return [{"batch_id": row["batch_id"], "status": row["told"]} for row in rows]


def hold(journal: Journal, batch_id: Any, status: Any) -> Problem | None:
    """Cancels or pauses a batch; gives the reason if it is refused."""
    if status not in _WORDS:
        return Problem("status must be either cancel or pause", "status")
    if not batch_id or not is_known_batch(journal, batch_id):
        return Problem("invalid batch id", "batch_id")
    now = journal.now()
    with journal.transaction() as connection:
        row = connection.execute(
            "select b.told, coalesce((select min(s.send_at) from scheduled s"
            " where s.batch_id = b.batch_id), 1e12) as send_at from batch b where batch_id = ?",
            (batch_id,),
        ).fetchone()
        if row["told"]:
            return Problem("a status update already exists for this batch id", "batch_id")
        [n_held] = connection.execute(
            "select count(distinct b.batch_id) from recipient r"
            " join scheduled s on s.request_number = r.request_number"
            " join batch b on b.batch_id = s.batch_id"
            " where r.answered_at is null and b.told <> ''"
        ).fetchone()
        if n_held >= MOST_AT_ONCE:
            return Problem("the limit of paused or cancelled batches is reached", "batch_id")
        is_in_time = row["send_at"] - now >= LAST_SECONDS
        connection.execute(
            "update batch set told = ?, status = ? where batch_id = ?",
            (status, status if is_in_time else "", batch_id),
        )
    return None


def change(journal: Journal, batch_id: str, status: str) -> bool:
    """Turns a pause into a cancellation or back, or ends either (''); False when there is none."""
    if not told(journal, batch_id):
        return False
    with journal.transaction() as connection:
        connection.execute(
            "update batch set told = ?1, status = case when status = '' then '' else ?1 end"
            " where batch_id = ?2",
            (status, batch_id),
        )
    return True


def discard_overdue(journal: Journal) -> None:
    """Throws away what was cancelled before its time, and what was paused for three days."""
    now = journal.now()
    moments = (now, now - _EXPIRED_SECONDS)
    if not journal.read(_OVERDUE, moments):
        return
    with journal.transaction() as connection:
        connection.execute(
            "update recipient set state = 'discarded', answered_at = ?3"  # noqa: S608 - constants
            f" where answered_at is null and request_number in ({_OVERDUE})",
            (*moments, now),
        )
