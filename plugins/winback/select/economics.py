"""The rule CRC / CLV < 1: whether a measure is worth it, for each customer and on the whole.

The formula is the SQL function `ops.recovery_economics`. Which lift it counts with is `lift.py`;
the temporary table `judged`, which holds its answers and is given reasons here, is made in
`verdicts.py`.
"""

from __future__ import annotations

import logging
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg

from winback.outreach import campaign_state
from winback.select import verdicts
from winback.select.campaigns import Campaign
from winback.select.lift import Lift, lift_of

log = logging.getLogger(__name__)

# findings that speak against somebody, unless they must be won back; see recovery_economics.sql
_TOO_DEAR = "finding in ('costs_more', 'nobody_more_returns', 'no_value')"

# The same question right before sending, about the newest run of the campaign: whom it finds too
# dear is not written to, however long ago they were drawn. By the key of that run: nothing is
# worked out anew. %(campaign)s, and `claimed.person_key`.
TOO_DEAR_BY_NOW = f"""
select jsonb_build_object(
    'finding', finding, 'contact_cents', run.contact_cents, 'offer_cents', run.offer_cents,
    'lift_pct', run.lift_pct, 'lift_from', run.lift_from, 'p_holdout', p_holdout,
    'p_treated', p_treated, 'crc_cents', crc_cents, 'clv_cents', clv_cents, 'ratio', ratio,
    'is_must_win', is_must_win
) as parts
from ops.economics
inner join ops.economics_run as run using (economics_run_id)
where customer_key = claimed.person_key and {_TOO_DEAR} and not is_must_win
    and economics_run_id = (
        select max(economics_run_id) from ops.economics_run where campaign_id = %(campaign)s
    )
"""  # noqa: S608 - texts of our own

# who must be won back is kept, and the verdict says at what price
_EXCLUDE_WHO_COSTS_MORE = f"""
update judged set
    is_eligible = is_eligible and is_must_win,
    reasons = case
        when is_must_win then reasons else reasons || array['costs_more_than_it_returns']
    end,
    evidence = coalesce(evidence, '{{}}') || jsonb_build_object('economics', jsonb_build_object(
        'finding', finding, 'contact_cents', %(contact_cents)s::numeric,
        'offer_cents', %(offer_cents)s::numeric, 'lift_pct', %(lift_pct)s,
        'lift_from', %(lift_from)s::text, 'p_holdout', p_holdout, 'p_treated', p_treated,
        'crc_cents', crc_cents, 'clv_cents', clv_cents, 'ratio', ratio, 'is_must_win', is_must_win
    ))
where {_TOO_DEAR}
"""  # noqa: S608 - texts of our own

_SUM_UP = """
select
    count(*) filter (where finding <> 'no_score'),
    count(*) filter (where finding = 'no_score'),
    coalesce(sum(cost_cents), 0),
    coalesce(sum(worth_cents), 0)
from judged
where not is_must_win and (is_eligible or reasons = array['costs_more_than_it_returns'])
"""

# a person who let it go on after a stop for the same file and source of the lift has decided
_WAS_OVERRULED = """
select campaign.state = 'running' and exists (
    select 1 from ops.economics_run as earlier
    where earlier.campaign_id = campaign.campaign_id
        and earlier.has_stopped
        and earlier.definition = campaign.definition
        and earlier.lift_from = %(lift_from)s
)
from ops.campaign as campaign
where campaign.campaign_id = %(campaign)s
"""

_KEEP_RUN = """
insert into ops.economics_run
    (campaign_id, snapshot_id, as_of, definition, contact_cents, offer_cents, lift_pct, lift_from,
     lift_because, n_judged, n_not_judged, cost_cents, worth_cents, is_worth_it, is_overruled,
     has_stopped)
select campaign_id, %(snapshot)s, %(as_of)s, definition, %(contact_cents)s::numeric,
    %(offer_cents)s::numeric, %(lift_pct)s, %(lift_from)s, %(lift_because)s, %(n_judged)s,
    %(n_not_judged)s, %(cost_cents)s, %(worth_cents)s, %(is_worth_it)s, %(is_overruled)s,
    %(has_stopped)s
from ops.campaign
where campaign_id = %(campaign)s
returning economics_run_id
"""

_KEEP = """
insert into ops.economics
    (customer_key, economics_run_id, p_holdout, p_treated, clv_cents, cost_cents, worth_cents,
     profit_cents, crc_cents, ratio, finding, is_must_win)
select customer_key, %(run)s, p_holdout, p_treated, clv_cents, cost_cents, worth_cents,
    profit_cents, crc_cents, ratio, finding, is_must_win
from judged
"""


def terms_of(connection: psycopg.Connection, campaign: Campaign, as_of: date) -> dict[str, Any]:
    """What a campaign's measure is counted with: parameters of the statements here.

    Args:
        connection: As the sender, in the transaction of the selection.
        campaign: The campaign, whose costs count.
        as_of: The date of the selection; a lift that was measured up to it counts.
    """
    lift: Lift = lift_of(connection, campaign, as_of)
    return {
        "contact_cents": Decimal(str(campaign.costs.contact_cents)),
        "offer_cents": Decimal(str(campaign.costs.offer_cents)),
        "lift_pct": lift.pct,
        "lift_from": lift.source,
        "lift_because": lift.because,
    }


def exclude_who_costs_more(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    """Excludes from `judged` whoever costs more than they return, with the parts as evidence.

    Whoever has no score (before the first training, or new since) can not be judged and stays.

    Args:
        connection: As the sender, in the transaction of the selection.
        values: Parameters of the selection's statements, with `terms_of`.
    """
    connection.execute(_EXCLUDE_WHO_COSTS_MORE, values)


def judge_campaign(connection: psycopg.Connection, values: dict[str, Any]) -> int:
    """Stops the campaign when all of it is expected to cost no less than to return.

    The sums are over those of the audience, drawn before or not, whom nothing but this rule speaks
    against; those who must be won back are decided already. They are kept whatever comes of it.
    Nobody is selected for a campaign that is not worth it, until its file changes, or a person who
    knows the reason sets it running again.

    Args:
        connection: As the sender, in the transaction of the selection.
        values: As for `exclude_who_costs_more`; `judged` must hold every other reason by now.

    Returns:
        The run, for `keep`.
    """
    row = connection.execute(_SUM_UP).fetchone()
    assert row is not None
    n_judged, n_not_judged, cost, worth = row
    is_worth_it = worth > cost if n_judged else None
    terms = values | {
        "n_judged": n_judged, "n_not_judged": n_not_judged, "cost_cents": cost,
        "worth_cents": worth, "is_worth_it": is_worth_it, "is_overruled": False,
        "has_stopped": False,
    }  # fmt: skip
    if is_worth_it is False:
        _stop(connection, terms)
    kept = connection.execute(_KEEP_RUN, terms).fetchone()
    assert kept is not None
    run: int = kept[0]
    return run


def keep(connection: psycopg.Connection, run: int) -> None:
    """Writes what was worked out for each to `ops.economics`, as of the run of `judge_campaign`."""
    connection.execute(_KEEP, {"run": run})


def _stop(connection: psycopg.Connection, terms: dict[str, Any]) -> None:
    name, reason = terms["campaign"], _reason(connection, terms)
    if connection.execute(_WAS_OVERRULED, terms).fetchone() == (True,):
        terms["is_overruled"] = True
        log.warning("campaign %s goes on, as a person decided: %s", name, reason)
        return
    terms["has_stopped"] = campaign_state.stop_if_running(connection, name, reason)
    verdicts.exclude_all(
        connection,
        "campaign_costs_more_than_it_returns",
        {"campaign": {"cost_cents": terms["cost_cents"], "worth_cents": terms["worth_cents"]}},
    )
    log.warning(
        "campaign %s selects nobody: %s; change its costs, offer or audience, or let it run all the"
        " same: ./winback outreach resume %s",
        name, reason, name,
    )  # fmt: skip


def _reason(connection: psycopg.Connection, terms: dict[str, Any]) -> str:
    # one warehouse holds one currency
    found = connection.execute("select currency from raw.orders limit 1").fetchone()
    currency = found[0] if found else ""
    return (
        f"it costs more than it returns: expected are {terms['cost_cents'] / 100:,.2f} {currency}"
        f" of costs and {terms['worth_cents'] / 100:,.2f} {currency} of margin from"
        f" {terms['n_judged']:,} people, at a lift of {terms['lift_pct'].normalize():f} %"
        f" ({terms['lift_from']})"
    )
