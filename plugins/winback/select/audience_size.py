"""Whether a campaign's audience jumped since it selected last: a person approves that first.

A file with more tiers, a new offer or a feed of many consents can multiply whom one campaign writes
to, while the candidates of the whole shop, which the gates compare, stay as many as ever.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from winback.outreach import campaign_state
from winback.select import verdicts

log = logging.getLogger(__name__)

# fewer than these count as so many: three people instead of one are no jump
COMPARED_FROM = 100

# Whoever only heard from us lately belongs to the audience: it would halve and double with every
# pause. What the campaign costs on the whole is `economics.py`'s affair.
_SIZE = """
select count(*) from judged where reasons <@ array[
    'contacted_by_another_campaign', 'contacted_too_recently', 'holdout_of_another_campaign',
    'campaign_costs_more_than_it_returns'
]
"""

# a stop that a person lifted is approved, and the next ones are compared with it
_BEFORE = """
select size.n_people
from ops.audience_size as size
inner join ops.campaign as campaign using (campaign_id)
where size.campaign_id = %(campaign)s
    and (not size.needs_approval or size.has_stopped and campaign.state = 'running')
order by size.audience_size_id desc
limit 1
"""

_KEEP = """
insert into ops.audience_size
    (campaign_id, snapshot_id, as_of, n_people, n_before, needs_approval, has_stopped)
values (%(campaign)s, %(snapshot)s, %(as_of)s, %(n_people)s, %(n_before)s, %(needs_approval)s,
    %(has_stopped)s)
"""


def is_jump(n_people: int, n_before: int | None, max_rise_pct: float) -> bool:
    """Whether so many need a person's approval; a campaign's first audience does not."""
    if n_before is None:
        return False
    return n_people > max(n_before, COMPARED_FROM) * (1 + max_rise_pct / 100)


def judge(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    """Stops the campaign when its audience jumped; nobody is drawn until a person resumes it.

    Args:
        connection: As the sender, in the transaction of the selection.
        values: Parameters of the selection's statements; `judged` must hold every reason by now.
    """
    [(n_people,)] = connection.execute(_SIZE).fetchall()
    found = connection.execute(_BEFORE, values).fetchone()
    n_before = found[0] if found else None
    needs_approval = is_jump(n_people, n_before, values["max_audience_rise_pct"])
    has_stopped = needs_approval and _stop(connection, values["campaign"], n_people, n_before)
    connection.execute(_KEEP, values | {
        "n_people": n_people, "n_before": n_before, "needs_approval": needs_approval,
        "has_stopped": has_stopped,
    })  # fmt: skip


def _stop(
    connection: psycopg.Connection, campaign: str, n_people: int, n_before: int | None
) -> bool:
    reason = f"its audience jumped: {n_people:,} people, {n_before:,} at its last selection"
    has_stopped = campaign_state.stop_if_running(connection, campaign, reason)
    verdicts.exclude_all(
        connection, "audience_jumped",
        {"audience": {"n_people": n_people, "n_before": n_before}},
    )  # fmt: skip
    log.warning(
        "campaign %s selects nobody: %s; look at its file and at who is new, then approve them:"
        " %s %s",
        campaign, reason, campaign_state.RESUME, campaign,
    )  # fmt: skip
    return has_stopped
