"""The step select: a verdict on every candidate, the draw, and the planned messages.

Who is drawn is committed first, and right after it the messages that follow
(`planned_messages.py`). A run that dies before leaves nothing half done, one that is repeated finds
its people drawn already, and messages that a run no longer came to are planned by the next. What
speaks against somebody is asked in `verdicts.py`, and whether they are worth it in `economics.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from winback.gate import require_fit_to_act
from winback.outreach import ramp_up
from winback.select import audience_size, economics, planned_messages, verdicts
from winback.select.assignment import draw
from winback.select.campaigns import Campaign, read_campaigns
from winback.settings import Settings, settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

FIRST_STEP = 1

# Read once and beforehand: the planner takes a table for as empty as it is when the statement
# begins, and looked through all that the statement had inserted so far, for each row anew.
_EXCLUDE = """
with earlier as materialized (
    select lapse_id from ops.assignment where campaign_id = %(campaign)s
)

insert into ops.assignment
    (campaign_id, lapse_id, customer_key, snapshot_id, as_of, occasion, occasion_date, arm, reason,
     stratum, customer_state, window_starts_at,
     window_ends_at, window_days)
select %(campaign)s, lapse_id, customer_key, %(snapshot)s, %(as_of)s, occasion, occasion_date,
    'excluded', array_to_string(reasons, ', '), value_tier, state, %(known_until)s,
    %(window_ends_at)s, %(window_days)s
from judged
where not is_eligible
    and not exists (select 1 from earlier where earlier.lapse_id = judged.lapse_id)
"""

_TO_DRAW = """
select customer_key, value_tier
from judged
where is_eligible
    and not exists (
        select 1 from ops.assignment as earlier
        where earlier.campaign_id = %(campaign)s and earlier.lapse_id = judged.lapse_id
            and earlier.arm <> 'excluded'
    )
"""

_ASSIGN = """
insert into ops.assignment
    (campaign_id, lapse_id, customer_key, snapshot_id, as_of, occasion, occasion_date, arm,
     stratum, customer_state, window_starts_at,
     window_ends_at, window_days)
select %(campaign)s, lapse_id, customer_key, %(snapshot)s, %(as_of)s, occasion, occasion_date,
    drawn.arm, value_tier, state, %(known_until)s, %(window_ends_at)s, %(window_days)s
from judged
inner join drawn using (customer_key)
"""


@dataclass(frozen=True)
class Selected:
    """What one campaign's selection added."""

    campaign: str
    n_excluded: int
    n_holdout: int
    n_treated: int
    n_planned: int


def select(snapshot_id: int, as_of: date) -> list[Selected]:
    """Selects for every campaign that was not cancelled.

    Args:
        snapshot_id: The snapshot the marts were built from.
        as_of: Its date.

    Raises:
        DispatchRefused: The snapshot is a backfill, not the newest, or did not pass its gates.
        CampaignError: A campaign file is wrong; nothing was selected for any campaign.
    """
    config = settings()
    campaigns = read_campaigns(config.campaigns)
    with warehouse.connect("sender") as connection:
        require_fit_to_act(connection, snapshot_id, as_of)
        over = {
            name
            for (name,) in connection.execute(
                "select campaign_id from ops.campaign where state = 'cancelled'"
            )
        }
    selected = [
        _select(campaign, snapshot_id, as_of, config)
        for campaign in campaigns
        if campaign.name not in over
    ]
    warehouse.analyze("ops.assignment", "ops.outreach", "ops.verdict", "ops.economics")
    return selected


def _select(campaign: Campaign, snapshot_id: int, as_of: date, config: Settings) -> Selected:
    values: dict[str, Any] = {
        "campaign": campaign.name,
        "states": campaign.audience.states,
        "value_tiers": campaign.audience.value_tiers,
        "channel": campaign.channel,
        "template": campaign.template_name,
        "step": FIRST_STEP,
        "snapshot": snapshot_id,
        "as_of": as_of,
        "known_until": config.as_of_at(as_of),
        "window_ends_at": config.as_of_at(as_of + timedelta(days=config.recovery_window_days)),
        "window_days": config.recovery_window_days,
        "contact_pause_days": config.contact_pause_days,
        "advertisers": config.advertiser_names(),
        "consent_unused_months": config.consent_unused_months,
        "max_audience_rise_pct": config.max_audience_rise_pct,
    }
    with warehouse.connect("sender") as connection:
        _store_campaign(connection, campaign)
    # of these two the second is committed first: nobody has a message who was not drawn
    with warehouse.connect("sender") as planning, warehouse.connect("sender") as connection:
        # one selection of a campaign at a time, so that nobody is drawn twice
        planning.execute("select pg_advisory_xact_lock(hashtextextended(%(campaign)s, 1))", values)
        values |= economics.terms_of(connection, campaign, as_of)
        verdicts.judge(connection, values)
        economics.exclude_who_costs_more(connection, values)
        verdicts.one_per_address(connection, values)
        run = economics.judge_campaign(connection, values)
        audience_size.judge(connection, values)
        candidates = connection.execute(_TO_DRAW, values).fetchall()
        batch = f"{campaign.name}\x1f{as_of}"
        with ThreadPoolExecutor(1) as beside:
            # the server writes while this process draws
            kept = beside.submit(verdicts.keep, connection, values)
            arms = draw(candidates, campaign.holdout_pct, config.assignment_salt, batch)
            kept.result()
            _keep_draw(connection, arms)
            ramp_up.find_reached(connection, config)
            planned_messages.hand_over(connection, planning, values)
            planned = beside.submit(planned_messages.plan, planning, values)
            n_excluded = connection.execute(_EXCLUDE, values).rowcount
            connection.execute(_ASSIGN, values)
            economics.keep(connection, run)
            n_planned = planned.result()
    n_holdout = sum(arm == "holdout" for arm in arms.values())
    selected = Selected(campaign.name, n_excluded, n_holdout, len(arms) - n_holdout, n_planned)
    log.info("%s", selected)
    return selected


def _keep_draw(connection: psycopg.Connection, arms: Mapping[str, str]) -> None:
    connection.execute("create temporary table drawn (customer_key text, arm text) on commit drop")
    with connection.cursor() as cursor, cursor.copy("copy drawn from stdin") as copy:
        for each in arms.items():
            copy.write_row(each)
    connection.execute("analyze drawn")


def _store_campaign(connection: psycopg.Connection, campaign: Campaign) -> None:
    connection.execute(
        "insert into ops.campaign (campaign_id, definition) values (%s, %s)"
        " on conflict (campaign_id) do update"
        " set definition = excluded.definition"
        " where ops.campaign.definition is distinct from excluded.definition",
        (campaign.name, campaign.model_dump_json()),
    )
