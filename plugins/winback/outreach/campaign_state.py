"""Whether a campaign may send: running, paused, stopped or cancelled; and where it stands.

A worker looks before every request, so a change works within one batch. Each message's own state is
the affair of `ledger.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from winback.errors import CampaignStopped
from winback.outreach import ledger, ramp_up
from winback.outreach.decisions import Decision, NotDecided, keep

RESUME = "./winback outreach resume"


@dataclass(frozen=True)
class CampaignStatus:
    """Where a campaign stands.

    Attributes:
        campaign_id: Its name.
        state: `running`, `paused`, `stopped` (by a program, until a person resumes) or `cancelled`.
        state_reason: Why it does not run.
        updated_at: When its state changed last.
        decided_by: The person whose decision is the newest, if anybody decided.
        counts: How many messages are in each state of the ledger.
    """

    campaign_id: str
    state: str
    state_reason: str | None
    updated_at: datetime
    decided_by: str | None
    counts: dict[str, int]


def read_campaign_states(connection: psycopg.Connection) -> list[CampaignStatus]:
    """Every campaign that ever selected, by name."""
    with connection.cursor(row_factory=class_row(CampaignStatus)) as cursor:
        return cursor.execute(
            "select c.campaign_id, c.state, c.state_reason, c.updated_at,"
            "  (select d.decided_by from ops.outreach_decision as d"
            "   where d.campaign_id = c.campaign_id and d.message_id is null"
            "   order by d.decision_id desc limit 1) as decided_by,"
            "  coalesce((select jsonb_object_agg(state, n) from ("
            "    select o.state, count(*) as n from ops.outreach as o"
            "    where o.campaign_id = c.campaign_id group by o.state) as counted), '{}') as counts"
            " from ops.campaign as c order by c.campaign_id"
        ).fetchall()


def is_running(connection: psycopg.Connection, campaign: str) -> bool:
    """Whether nobody paused or stopped the campaign; one that never selected is not running."""
    row = connection.execute(
        "select state from ops.campaign where campaign_id = %s", (campaign,)
    ).fetchone()
    return row is not None and row[0] == "running"


def anything_waits(connection: psycopg.Connection) -> bool:
    """Whether a campaign that runs has messages planned or claimed."""
    [(found,)] = connection.execute(
        "select exists (select 1 from ops.campaign as c where c.state = 'running' and exists ("
        " select 1 from ops.outreach as o where o.campaign_id = c.campaign_id and o.is_pending"
        "  and o.state in ('planned', 'claimed')))"
    ).fetchall()
    return bool(found)


def stop(connection: psycopg.Connection, reasons: Mapping[str, str]) -> None:
    """Stops campaigns until a person resumes them; a cancelled one stays cancelled.

    It locks the campaigns in the order of their names, and the newest portion of the ramp-up, which
    is shared by all, after the last of them: whoever stops one of them alone holds it by then.

    Args:
        connection: As the sender; the caller commits.
        reasons: Why, by campaign.
    """
    for campaign, reason in sorted(reasons.items()):
        connection.execute(
            "update ops.campaign set state = 'stopped', state_reason = %s, updated_at = now()"
            " where campaign_id = %s and state <> 'cancelled'",
            (reason, campaign),
        )
    if reasons:
        ramp_up.note_stop(connection)


def stop_if_running(connection: psycopg.Connection, campaign: str, reason: str) -> bool:
    """Stops a campaign that runs, until a person resumes it; tells whether it ran.

    Nothing of it is to blame for how it was sent, so that a ramp-up goes on where it stood.
    """
    stopped = connection.execute(
        "update ops.campaign set state = 'stopped', state_reason = %s, updated_at = now()"
        " where campaign_id = %s and state = 'running'",
        (reason, campaign),
    )
    return stopped.rowcount == 1


def require_none_stopped_since(connection: psycopg.Connection, moment: datetime) -> None:
    """Tells whoever looks at the run, once it has done what else there was to do.

    Args:
        connection: As the sender.
        moment: When the run began.

    Raises:
        CampaignStopped: A campaign was stopped since and waits for a person; names each, and why.
    """
    stopped = connection.execute(
        "select campaign_id, state_reason from ops.campaign"
        " where state = 'stopped' and updated_at >= %s order by campaign_id",
        (moment,),
    ).fetchall()
    if stopped:
        raise CampaignStopped(
            "; ".join(f"campaign {name} is stopped: {why}" for name, why in stopped)
        )


def decide(connection: psycopg.Connection, campaign: str, decision: Decision) -> int:
    """Pauses, resumes or cancels a campaign; the caller commits.

    Args:
        connection: As the sender.
        campaign: Its name.
        decision: `pause`, `resume` or `cancel`.

    Returns:
        How many messages wait to be sent, or, after `cancel`, were cancelled.

    Raises:
        NotDecided: There is no such campaign, or it is in that state already.
    """
    old = _locked_state(connection, campaign)
    if old == "cancelled":
        raise NotDecided(
            f"campaign {campaign} is cancelled for good: give its file another name to begin anew"
        )
    if decision.word == "resume" and old == "running":
        raise NotDecided(f"campaign {campaign} is running already")
    if decision.word == "pause" and old != "running":
        raise NotDecided(
            f"campaign {campaign} is {old} already: nothing is sent until {RESUME} {campaign}"
        )
    new = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[decision.word]
    connection.execute(
        "update ops.campaign set state = %s, state_reason = %s, updated_at = now()"
        " where campaign_id = %s",
        (new, None if new == "running" else decision.reason.strip(), campaign),
    )
    keep(connection, decision, campaign)
    if new == "cancelled":
        return ledger.cancel_rest_of_cancelled_campaigns(connection)
    [(n_waiting,)] = connection.execute(
        "select count(*) from ops.outreach where campaign_id = %s and is_pending"
        " and state in ('planned', 'claimed')",
        (campaign,),
    ).fetchall()
    return int(n_waiting)


def _locked_state(connection: psycopg.Connection, campaign: str) -> str:
    row = connection.execute(
        "select state from ops.campaign where campaign_id = %s for no key update", (campaign,)
    ).fetchone()
    if row is not None:
        return str(row[0])
    names = [
        name for (name,) in connection.execute("select campaign_id from ops.campaign order by 1")
    ]
    known = f"the campaigns are {', '.join(names)}" if names else "no campaign has selected yet"
    raise NotDecided(
        f"there is no campaign {campaign!r}: {known} (a file counts from its first selection on)"
    )
