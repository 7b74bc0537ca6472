"""A verdict on every candidate of a campaign: the temporary table `judged` of a selection.

Who is a candidate is the dbt model `int_candidates`; what speaks against somebody is the SQL
function `ops.eligibility`, and what a measure is worth `ops.recovery_economics`. What follows from
its answers is `economics.py`, and who is drawn and planned belongs to `selection.py`.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg

from winback.select.customer_rules import NOT_WANTED

# the candidates are judged in so many parts, which the server's processes take one after another
PARTS = 12

# Ordered here and not by whoever reads it: so the server's processes work it out together, and what
# lies together is looked up together.
_AUDIENCE = """
create temporary table audience on commit drop as
select
    candidates.*,
    scores.probability_60_days as p_holdout,
    scores.value_if_returned_cents as clv_cents,
    must_win.customer_key is not null as is_must_win,
    economics.*
from intermediate.int_candidates as candidates
-- the date again: the next day's models may have replaced some of these meanwhile
left join marts.fct_customer_values as scores
    on scores.customer_key = candidates.customer_key and scores.as_of = %(as_of)s
left join (
    select distinct customer_key from marts.fct_customer_rules
    where kind = 'must_win' and as_of = %(as_of)s
) as must_win on must_win.customer_key = candidates.customer_key
cross join lateral ops.recovery_economics(
    scores.probability_60_days, scores.value_if_returned_cents,
    %(lift_pct)s, %(contact_cents)s::numeric, %(offer_cents)s::numeric
) as economics
where candidates.as_of = %(as_of)s
    and candidates.state = any(%(states)s) and candidates.value_tier = any(%(value_tiers)s)
order by candidates.customer_key
"""

# the server shares calls among its processes, and not what one of them does
_VERDICTS = " union all ".join(
    f"""
    select * from ops.eligibility(
        (select customer_keys from parts where part = {part}),
        (select last_purchases_at from parts where part = {part}),
        %(campaign)s, %(channel)s, %(as_of)s, %(known_until)s, %(consent_unused_months)s,
        %(contact_pause_days)s, advertisers => %(advertisers)s::text[]
    )
    """  # noqa: S608 - texts of our own
    for part in range(1, PARTS + 1)
)
JUDGE = f"""
create temporary table judged on commit drop as
with numbered as (
    select customer_key, last_ordered_at, ntile({PARTS}) over () as part from audience
),

parts as materialized (
    select part, array_agg(customer_key) as customer_keys,
        array_agg(last_ordered_at) as last_purchases_at
    from numbered
    group by part
)

select audience.*, verdict.address_hash, verdict.is_eligible, verdict.reasons, verdict.evidence,
    verdict.locale, verdict.ground
from audience
inner join ({_VERDICTS}) as verdict using (customer_key)
"""  # noqa: S608 - texts of our own

_NOT_WANTED = f"""
update judged set is_eligible = false, reasons = reasons || array['not_wanted'],
    evidence = coalesce(evidence, '{{}}') || jsonb_build_object('not_wanted', rules.because)
from ({NOT_WANTED}) as rules
where rules.customer_key = judged.customer_key
"""  # noqa: S608 - texts of our own

# A late or corrected order gives the same silence another name. Whoever was drawn for it keeps the
# arm: a holdout must not be written to, and whoever was written to is no holdout.
_SAME_SILENCE = """
update judged set is_eligible = false, reasons = reasons || array['drawn_under_another_lapse'],
    evidence = coalesce(evidence, '{}') || jsonb_build_object('assignment', earlier.assignment_id)
from (
    select before.customer_key, min(drawn.assignment_id) as assignment_id
    from ops.assignment as drawn
    left join ops.person as person using (customer_key)
    inner join judged as before
        on before.customer_key = coalesce(person.person_key, drawn.customer_key)
    where drawn.campaign_id = %(campaign)s
        and drawn.lapse_id <> before.lapse_id
        and drawn.arm <> 'excluded'
        and drawn.window_ends_at >= %(known_until)s
        and before.last_ordered_at <= drawn.window_starts_at
    group by before.customer_key
) as earlier
where earlier.customer_key = judged.customer_key
"""

# one person of an address stands for all: another would get the same mail, or spoil the holdout
_ONE_PER_ADDRESS = """
with ranked as (
    select customer_key, row_number() over (
        partition by address_hash
        order by
            exists (
                select 1 from ops.assignment as drawn
                where drawn.campaign_id = %(campaign)s and drawn.lapse_id = judged.lapse_id
                    and drawn.arm <> 'excluded'
            ) desc,
            customer_key
    ) as position
    from judged
    where is_eligible
)

-- the address and not who was chosen: a key would outlive that person's erasure here
update judged set is_eligible = false, reasons = array['address_of_another_customer'],
    evidence = coalesce(evidence, '{}') || jsonb_build_object('address', judged.address_hash)
from ranked
where ranked.customer_key = judged.customer_key and ranked.position > 1
"""

_EXCLUDE_ALL = """
update judged set is_eligible = false, reasons = reasons || array[%(reason)s],
    evidence = coalesce(evidence, '{}') || %(evidence)s::jsonb
where is_eligible
"""

_KEEP_VERDICTS = """
insert into ops.verdict
    (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)
select
    %(snapshot)s, %(campaign)s, customer_key, %(channel)s, 'select', is_eligible, reasons, evidence
from judged
"""


def judge(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    """Makes `judged`: each candidate, whether they are eligible, and every reason why not.

    Args:
        connection: As the sender, in the transaction of the selection.
        values: Parameters of the selection's statements, with `economics.terms_of`.
    """
    # while it judged a part itself, nobody would take what the others have found
    connection.execute("set local parallel_leader_participation = off")
    connection.execute(_AUDIENCE, values)
    connection.execute(JUDGE, values)
    connection.execute("analyze judged (customer_key, lapse_id, address_hash, is_eligible)")
    connection.execute(_NOT_WANTED, values)
    connection.execute(_SAME_SILENCE, values)


def one_per_address(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    """Excludes from `judged` all but one of the eligible who share an address."""
    connection.execute(_ONE_PER_ADDRESS, values)


def exclude_all(connection: psycopg.Connection, reason: str, evidence: dict[str, Any]) -> None:
    """Excludes from `judged` whoever is eligible, for a reason that lies in the campaign."""
    connection.execute(
        _EXCLUDE_ALL, {"reason": reason, "evidence": json.dumps(evidence, default=float)}
    )


def keep(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    """Writes what `judged` holds by now to `ops.verdict`."""
    connection.execute(_KEEP_VERDICTS, values)
