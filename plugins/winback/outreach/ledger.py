"""The send ledger: every change of state of a planned message, each as one compare-and-set.

planned → claimed → dispatching → accepted | rejected | unknown → delivered | bounced | dropped.
What waits at the provider is taken back by `scheduled_batches.py`, or unknown by `lost_answers.py`;
what a worker left behind that ended is settled by `ended_workers.py`.
The database refuses any other transition. Rows are planned by `select/planned_messages.py`; events
move them in `record/events.py`; what is asked before a request is `last_check.py`; when to do what
is decided in `lane.py`; whether a campaign runs is `campaign_state.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from uuid import UUID

import psycopg

from winback.outreach import ramp_up
from winback.outreach.ended_workers import release_dead_claims
from winback.settings import Settings

MAYBE_TAKEN = ("dispatching", "unknown", "abandoned")
# The messages of a claim that are still ours and in one of the states. Always locked in the same
# order: the record step changes the same rows at the same time, and two transactions that lock in
# different orders end in a deadlock. Ids go in binary: as text they take four times as long.
_OWN = """
with own as materialized (
    select held.message_id, held.portion_day from (
        select * from unnest(%(ids)b::uuid[], %(fences)b::bigint[]) as own (message_id, fence)
        order by message_id
    ) as own
    -- looked up one by one: rows change their state faster than the planner's statistics, and a
    -- join compared every claim with every other
    cross join lateral (
        select o.message_id, o.portion_day from ops.outreach as o
        where o.message_id = own.message_id and o.fence = own.fence and o.state = any(%(states)s)
        for no key update
    ) as held
)
"""
CLAIM = """
update ops.outreach set state = 'claimed', fence = fence + 1, claimed_by = %(worker)s,
    lease_until = now() + make_interval(secs => %(lease)s), portion_day = %(day)s
where message_id in (
    select message_id from ops.outreach
    where campaign_id = %(campaign)s and is_dormant = %(is_dormant)s and is_pending
        and state = 'planned' and claim_order > %(passed)s
    order by claim_order limit %(n)s
    for no key update skip locked
)
returning message_id, fence, likely_shape, claim_order
"""
_THEIRS = "message_id = any(array(select message_id from own))"


@dataclass(frozen=True)
class Claim:
    """A message that this worker alone may send until its lease ends.

    `fence` is the number of the claim: whoever holds an older one can change nothing. Those of one
    `likely_shape` probably go into one request.
    """

    message_id: UUID
    fence: int
    likely_shape: str = field(default="", compare=False)


@dataclass
class Passed:
    """How far a run has come among the planned messages of a campaign, with all its connections.

    What lies behind was looked at: most of it is sent by now, and need not be passed anew by every
    claim. A message that was planned again behind it is found when nothing is left before it.
    """

    reached: int = 0
    dormant: int = 0


def claim(
    connection: psycopg.Connection,
    campaign: str,
    worker: str,
    config: Settings,
    passed: Passed | None = None,
) -> list[Claim]:
    """Takes up to one batch of planned messages.

    What is alike comes together. Of dormant addresses no more than today's portion of the ramp-up
    (`ramp_up.py`), by all workers together. Claims of dead workers are taken when nothing else is.

    Args:
        connection: As the sender; the caller commits.
        campaign: The campaign.
        worker: Who takes them, for people who look.
        config: Batch size, lease and portions.
        passed: Of this run; moves on.
    """
    passed = passed or Passed()
    claims = _claim(connection, campaign, worker, config, passed)
    if not claims:
        # before portions are given back: whoever has locked them waits for them next
        ramp_up.lock(connection)
        release_dead_claims(connection)
        passed.reached = passed.dormant = 0
        claims = _claim(connection, campaign, worker, config, passed)
    return sorted(claims, key=attrgetter("likely_shape", "message_id.int"))


def release(connection: psycopg.Connection, claims: Sequence[Claim]) -> None:
    """Gives up claims that were not sent, so that the next run need not wait for the lease."""
    _move(connection, claims, "claimed", "planned", None)


def cancel(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Ends claims that may not be sent, with the reason."""
    _move(connection, claims, "claimed", "cancelled", reason)


def mark_dispatching(
    connection: psycopg.Connection, claims: Sequence[Claim], config: Settings
) -> list[Claim]:
    """Once committed, a request is about to leave, and nothing is sent again by itself.

    In the transaction of the last check, which has locked them. Returns the claims that are still
    ours; only these may be in the request.
    """
    lease = config.send_timeout_seconds + config.send_lease_seconds
    rows = connection.execute(
        "with marked as (update ops.outreach set state = 'dispatching', dispatching_at = now(),"
        " reason = null, lease_until = now() + make_interval(secs => %(lease)s)"
        # `is true`: else the planner makes a join of it, of all with all
        " where message_id = any(%(ids)b::uuid[]) and state = any(%(states)s) and ((message_id,"
        "  fence) in (select * from unnest(%(ids)b::uuid[], %(fences)b::bigint[]))) is true"
        # clock_timestamp: the check before may have taken longer than what was left of the lease
        " and lease_until > clock_timestamp() returning message_id)"
        " select message_id from unnest(%(ids)b::uuid[]) as asked (message_id)"
        " where message_id not in (select message_id from marked)",
        _asked(claims, ["claimed"]) | {"lease": lease},
    )
    lost = {message_id for (message_id,) in rows}
    return [claim for claim in claims if claim.message_id not in lost]


def accepted(
    connection: psycopg.Connection, claims: Sequence[Claim], provider_message_id: str
) -> None:
    """The provider took these messages; how many it took before an event told is counted."""
    # of one that a person gave up meanwhile the acceptance is noted, no more
    states = [*MAYBE_TAKEN, "accepted", "delivered", "bounced", "dropped"]
    connection.execute(
        f"{_OWN}, taken as ("  # noqa: S608
        " update ops.outreach set provider_message_id = %(provider_message_id)s,"
        " accepted_at = coalesce(accepted_at, now()),"
        # an event may have been quicker than our own commit
        " state = case when state in ('dispatching', 'unknown') then 'accepted' else state end,"
        " reason = case when state in ('dispatching', 'unknown') then null else reason end"
        f" where {_THEIRS} returning campaign_id, accepted_at, accepted_at = now() as is_new,"
        "  send_at)"
        " insert into ops.delivery_tally (campaign_id, sent_at, n_accepted)"
        # as in delivery_trouble.py
        " select campaign_id, greatest(accepted_at, send_at), count(*) from taken where is_new"
        " group by 1, 2",
        {"provider_message_id": provider_message_id, **_asked(claims, states)},
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
    connection.execute(
        # it keeps its place in a portion of the ramp-up
        f"{_OWN} update ops.outreach set state = 'planned' where {_THEIRS}",  # noqa: S608
        _asked(claims, ["dispatching"]),
    )
    rows = connection.execute(
        f"{_OWN}, again as ("  # noqa: S608
        " update ops.outreach set state = 'claimed', fence = fence + 1,"
        " lease_until = now() + make_interval(secs => %(lease)s)"
        f" where {_THEIRS} returning message_id, fence)"
        " select message_id, fence from again order by message_id",
        {"lease": config.send_lease_seconds, **_asked(claims, ["planned"])},
    ).fetchall()
    return [Claim(*row) for row in rows]


def rejected(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """The provider refused these messages for what they are."""
    _move(connection, claims, "dispatching", "rejected", reason)


def unknown(connection: psycopg.Connection, claims: Sequence[Claim], reason: str) -> None:
    """Nobody knows whether the provider took these; an event or a person decides."""
    _move(connection, claims, "dispatching", "unknown", reason)


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
        "  where c.state = 'cancelled' and o.is_pending and o.state in ('planned', 'claimed')"
        "  order by o.message_id for no key update of o)"
    ).rowcount


def _claim(
    connection: psycopg.Connection, campaign: str, worker: str, config: Settings, passed: Passed
) -> list[Claim]:
    values: dict[str, Any] = {"campaign": campaign, "worker": worker}
    values["lease"] = config.send_lease_seconds
    rows = connection.execute(
        CLAIM,
        values
        | {"is_dormant": False, "day": None, "passed": passed.reached, "n": config.send_batch_size},
    ).fetchall()
    passed.reached = max([passed.reached, *(order for *_, order in rows)])
    n_more = config.send_batch_size - len(rows)
    portion = ramp_up.left_today(connection, campaign, config, passed.dormant) if n_more else None
    if portion:
        values |= {"is_dormant": True, "day": portion.day, "passed": passed.dormant}
        dormant = connection.execute(CLAIM, values | {"n": min(n_more, portion.n_left)}).fetchall()
        ramp_up.take(connection, portion.day, len(dormant))
        passed.dormant = max([passed.dormant, *(order for *_, order in dormant)])
        rows += dormant
    return [Claim(*row) for *row, _ in rows]


def _move(
    connection: psycopg.Connection,
    claims: Sequence[Claim],
    old: str,
    new: str,
    reason: str | None,
) -> None:
    connection.execute(
        f"{_OWN} update ops.outreach set state = %(new)s,"  # noqa: S608
        " reason = coalesce(%(reason)s, reason),"
        " settled_at = case when %(new)s = 'planned' then null else now() end,"
        # the place in a portion of what does not leave is for another
        " portion_day = case when %(new)s = 'unknown' then portion_day end"
        f" where {_THEIRS}",
        {"new": new, "reason": reason, **_asked(claims, [old])},
    )


def _asked(claims: Sequence[Claim], states: list[str]) -> dict[str, Any]:
    return {
        "ids": [claim.message_id for claim in claims],
        "fences": [claim.fence for claim in claims],
        "states": states,
    }
