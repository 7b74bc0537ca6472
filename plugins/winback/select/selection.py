"""The step select: a verdict on every candidate, the draw, and the planned messages.

Everything of one campaign happens in one transaction, so a run that dies leaves nothing half done
and a run that is repeated finds its people drawn already. What speaks against somebody is asked in
`verdicts.py`, and whether they are worth it in `economics.py`.
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
from winback.select import economics, verdicts
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

# who is a candidate by a newer purchase has come back from the older lapse
_CLOSE_OLDER_LAPSES = """
with older as materialized (
    select o.message_id from ops.outreach as o inner join judged using (customer_key)
    where o.campaign_id = %(campaign)s and o.lapse_id <> judged.lapse_id
        and judged.occasion_date >= o.as_of and o.is_lapse_open
    -- as everybody locks: workers and the step record change the same rows
    order by o.message_id for no key update of o
)

update ops.outreach set is_lapse_open = false
where message_id = any(array(select message_id from older))
"""

# What is planned already is looked up beforehand, as above: an insert that finds its own conflicts
# takes a third longer.
_PLAN = """
with earlier as materialized (
    select lapse_id, address_hash, is_lapse_open and not is_cancelled as is_open
    from ops.outreach
    where campaign_id = %(campaign)s and step = %(first_step)s and channel = %(channel)s
        and resend_of is null
),

to_plan as (
    select judged.lapse_id, customer_key, judged.address_hash, worked_out.profit_cents,
        ntile(20) over (
            order by worked_out.profit_cents desc nulls last, worked_out.is_must_win desc,
                judged.lapse_id
        ) as twentieth,
        reached.address_hash is null as is_dormant,
        concat_ws(
            ' ', lower(left(judged.locale, 2)), case when person.first_name <> '' then 'named' end,
            judged.ground
        ) as likely_shape
    from drawn
    inner join judged using (customer_key)
    inner join worked_out using (customer_key)
    left join reached on reached.address_hash = judged.address_hash
    left join pii.customers as person using (customer_key)
    where drawn.arm = 'treated'
        and not exists (select 1 from earlier where earlier.lapse_id = judged.lapse_id)
        and not exists (
            select 1 from earlier
            where earlier.is_open and earlier.address_hash = judged.address_hash
        )
),

-- Random once and counted on from there, as RFC 9562 allows for many ids of one moment: a server
-- without OpenSSL opens /dev/urandom for each random one.
first as (
    select left(id, 24) as beginning, ('x' || right(id, 12))::bit(48)::bigint as number
    from (select uuidv7()::text as id) as one
)

insert into ops.outreach
    (message_id, campaign_id, lapse_id, step, channel, customer_key, address_hash, snapshot_id,
     as_of, template, expected_profit_cents, is_dormant, likely_shape)
select
    (first.beginning || lpad(
        to_hex(
            (first.number + row_number() over (order by twentieth, customer_key))
            %% (1::bigint << 48)
        ), 12, '0'
    ))::uuid,
    %(campaign)s, lapse_id, %(first_step)s, %(channel)s, customer_key, address_hash, %(snapshot)s,
    %(as_of)s, %(template)s, profit_cents, is_dormant, likely_shape
from to_plan
cross join first
-- Messages are claimed in the order in which they were planned: by twentieths of what is expected,
-- and within each by the key, so that what lies together is looked up together.
order by twentieth, customer_key
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
        "first_step": FIRST_STEP,
        "snapshot": snapshot_id,
        "as_of": as_of,
        "known_until": config.as_of_at(as_of),
        "window_ends_at": config.as_of_at(as_of + timedelta(days=config.recovery_window_days)),
        "window_days": config.recovery_window_days,
        "contact_pause_days": config.contact_pause_days,
        "consent_unused_months": config.consent_unused_months,
    }
    with warehouse.connect("sender") as connection:
        # one selection of a campaign at a time, so that nobody is drawn twice
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%(campaign)s, 1))", values
        )
        _store_campaign(connection, campaign)
        verdicts.judge(connection, values)
        terms = economics.judge_customers(connection, campaign, values)
        verdicts.one_per_address(connection, values)
        economics.judge_campaign(connection, terms)
        candidates = connection.execute(_TO_DRAW, values).fetchall()
        batch = f"{campaign.name}\x1f{as_of}"
        with ThreadPoolExecutor(1) as beside:
            # the server writes while this process draws
            kept = beside.submit(verdicts.keep, connection, values)
            arms = draw(candidates, campaign.holdout_pct, config.assignment_salt, batch)
            kept.result()
        n_excluded = connection.execute(_EXCLUDE, values).rowcount
        _keep_draw(connection, arms)
        connection.execute(_ASSIGN, values)
        connection.execute(_CLOSE_OLDER_LAPSES, values)
        ramp_up.find_reached(connection, config)
        n_planned = connection.execute(_PLAN, values).rowcount
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
        " set definition = excluded.definition, updated_at = now()"
        " where ops.campaign.definition is distinct from excluded.definition",
        (campaign.name, campaign.model_dump_json()),
    )
