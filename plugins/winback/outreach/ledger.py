"""The send ledger: every change of state of a planned message, each as one compare-and-set.

planned → claimed → dispatching → accepted | rejected | unknown → delivered | bounced | dropped.
The database refuses any other transition. Rows are planned by `select/selection.py`; events move
them in `record/events.py`; what is asked before a request is `last_check.py`; when to do what is
decided in `dispatch.py`; whether a campaign runs is `campaign_state.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

from winback.settings import Settings

MAYBE_TAKEN = ("dispatching", "unknown", "abandoned")


@dataclass(frozen=True)
class Claim:
    """A message that this worker alone may send until its lease ends.

    `fence` is the number of the claim: whoever holds an older one can change nothing.
    """

    message_id: UUID
    fence: int


def claim(
    connection: psycopg.Connection, campaign: str, worker: str, config: Settings
) -> list[Claim]:
    """Takes up to one batch of planned messages, and of claims whose worker is gone.

    Args:
        connection: As the sender; the caller commits.
        campaign: The campaign.
        worker: Who takes them, for people who look.
        config: Batch size and lease.
    """
    rows = connection.execute(
        "update ops.outreach set state = 'claimed', fence = fence + 1, claimed_by = %s,"
        " lease_until = now() + make_interval(secs => %s)"
        " where message_id in ("
        "  select message_id from ops.outreach"
        "  where campaign_id = %s"
        "   and (state = 'planned' or state = 'claimed' and lease_until < now())"
        "  order by planned_at, expected_profit_cents desc nulls last, message_id limit %s"
        "  for no key update skip locked)"
        " returning message_id, fence",
        (worker, config.send_lease_seconds, campaign, config.send_batch_size),
    ).fetchall()
    return sorted((Claim(*row) for row in rows), key=lambda each: each.message_id)


def release(connection: psycopg.Connection, claims: Sequence[Claim]) -> None:
    """Gives up claims that were not sent, so that the next run need not wait for the lease."""
    _move(connection, claims, "claimed", "planned", None)


def cancel(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Ends claims that may not be sent, with the reason."""
    _move(connection, claims, "claimed", "cancelled", reason)


def hold(connection: psycopg.Connection, claims: Sequence[Claim]) -> list[Claim]:
    """Those claims that are still ours; until the caller commits, nobody can change them."""
    held = set(_lock(connection, claims, ["claimed"]))
    return [claim for claim in claims if claim.message_id in held]


def mark_dispatching(
    connection: psycopg.Connection, claims: Sequence[Claim], config: Settings
) -> list[Claim]:
    """Once committed, a request is about to leave, and nothing is sent again by itself.

    Returns:
        The claims that are still ours; only these may be in the request.
    """
    rows = connection.execute(
        "update ops.outreach set state = 'dispatching', dispatching_at = now(), reason = null,"
        " lease_until = now() + make_interval(secs => %s)"
        # clock_timestamp: the check before may have taken longer than what was left of the lease
        " where message_id = any(%s) and lease_until > clock_timestamp()"
        " returning message_id, fence",
        (
            config.send_timeout_seconds + config.send_lease_seconds,
            _lock(connection, claims, ["claimed"]),
        ),
    ).fetchall()
    return [Claim(*row) for row in rows]


def accepted(
    connection: psycopg.Connection, claims: Sequence[Claim], provider_message_id: str
) -> None:
    """The provider took these messages."""
    connection.execute(
        "update ops.outreach set provider_message_id = %s,"
        " accepted_at = coalesce(accepted_at, now()),"
        # an event may have been quicker than our own commit
        " state = case when state in ('dispatching', 'unknown') then 'accepted' else state end,"
        " reason = case when state in ('dispatching', 'unknown') then null else reason end"
        " where message_id = any(%s)",
        (
            provider_message_id,
            _lock(
                connection,
                claims,
                # of one that a person gave up meanwhile the acceptance is noted, no more
                [*MAYBE_TAKEN, "accepted", "delivered", "bounced", "dropped"],
            ),
        ),
    )


def back_to_planned(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Nothing left this machine, or the provider took nothing: these may be sent again."""
    _move(connection, claims, "dispatching", "planned", reason)


def claim_again(
    connection: psycopg.Connection, claims: Sequence[Claim], config: Settings
) -> list[Claim]:
    """The provider took nothing of this request: its messages are claimed anew, to be sent apart.

    In one transaction, so that no other worker sees them planned; whoever objected during the
    request is found by the check before the next.
    """
    ids = _lock(connection, claims, ["dispatching"])
    connection.execute(
        "update ops.outreach set state = 'planned' where message_id = any(%s)", (ids,)
    )
    rows = connection.execute(
        "update ops.outreach set state = 'claimed', fence = fence + 1,"
        " lease_until = now() + make_interval(secs => %s)"
        " where message_id = any(%s) returning message_id, fence",
        (config.send_lease_seconds, ids),
    ).fetchall()
    return sorted((Claim(*row) for row in rows), key=lambda each: each.message_id)


def rejected(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """The provider refused these messages for what they are."""
    _move(connection, claims, "dispatching", "rejected", reason)


def unknown(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Nobody knows whether the provider took these; an event or a person decides."""
    _move(connection, claims, "dispatching", "unknown", reason)


def settle_dead_dispatches(connection: psycopg.Connection) -> int:
    """Makes unknown what a worker was sending when it died; returns how many."""
    return connection.execute(
        "update ops.outreach set state = 'unknown', settled_at = now(),"
        " reason = 'the worker ended while the request was under way'"
        " where message_id in ("
        "  select message_id from ops.outreach"
        "  where state = 'dispatching' and lease_until < now()"
        # who holds the row is settling it
        "  order by message_id for no key update skip locked)"
    ).rowcount


def cancel_rest_of_cancelled_campaigns(connection: psycopg.Connection) -> int:
    """Cancels what is planned or claimed for campaigns that a person cancelled; returns how many.

    Again and again: a request under way at that moment may have put its messages back to planned,
    and a selection may have planned more. A worker that holds such a claim can do nothing with it.
    """
    return connection.execute(
        "update ops.outreach set state = 'cancelled', settled_at = now(), fence = fence + 1,"
        " reason = 'campaign_cancelled' where message_id in ("
        "  select o.message_id from ops.outreach as o"
        "  inner join ops.campaign as c using (campaign_id)"
        "  where c.state = 'cancelled' and o.state in ('planned', 'claimed')"
        "  order by o.message_id for no key update of o)"
    ).rowcount


def _move(
    connection: psycopg.Connection,
    claims: Sequence[Claim],
    old: str,
    new: str,
    reason: str | None,
) -> None:
    connection.execute(
        "update ops.outreach set state = %s, reason = coalesce(%s, reason),"
        " settled_at = case when %s then null else now() end"
        " where message_id = any(%s)",
        (new, reason, new == "planned", _lock(connection, claims, [old])),
    )


def _lock(connection: psycopg.Connection, claims: Sequence[Claim], states: list[str]) -> list[UUID]:
    """The messages that are still ours and in one of the states.

    Always locked in the same order: the record step changes the same rows at the same time, and
    two transactions that lock in different orders end in a deadlock.
    """
    rows = connection.execute(
        "select held.message_id from ("
        "  select * from unnest(%s::uuid[], %s::bigint[]) as own (message_id, fence)"
        "  order by message_id) as own"
        # looked up one by one: rows change their state faster than the planner's statistics, and
        # a join compared every claim with every other
        " cross join lateral ("
        "  select o.message_id from ops.outreach as o"
        "  where o.message_id = own.message_id and o.fence = own.fence and o.state = any(%s)"
        "  for no key update) as held",
        ([c.message_id for c in claims], [c.fence for c in claims], states),
    ).fetchall()
    return [message_id for (message_id,) in rows]
