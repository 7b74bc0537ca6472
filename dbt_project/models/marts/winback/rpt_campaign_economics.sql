{{ config(materialized='view') }}

select
    economics_run_id,
    campaign_id,
    snapshot_id,
    as_of,
    cast(contact_cents as decimal(30, 4)) as contact_cents,
    cast(offer_cents as decimal(30, 4)) as offer_cents,
    cast(lift_pct as decimal(12, 4)) as lift_pct,
    lift_from,
    lift_because,
    n_judged,
    n_not_judged,
    cast(cost_cents as decimal(30, 4)) as cost_cents,
    cast(worth_cents as decimal(30, 4)) as worth_cents,
    is_worth_it,
    is_overruled,
    has_stopped,
    judged_at
from {{ source('ops', 'economics_run') }}
