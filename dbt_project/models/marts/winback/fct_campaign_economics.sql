{{ config(materialized='view') }}

select
    economics.economics_run_id,
    economics.customer_key,
    run.campaign_id,
    run.snapshot_id,
    run.as_of,
    cast(run.contact_cents as decimal(30, 4)) as contact_cents,
    cast(run.offer_cents as decimal(30, 4)) as offer_cents,
    cast(run.lift_pct as decimal(12, 4)) as lift_pct,
    run.lift_from,
    cast(economics.p_holdout as decimal(10, 9)) as p_holdout,
    cast(economics.p_treated as decimal(10, 9)) as p_treated,
    economics.clv_cents,
    cast(economics.cost_cents as decimal(30, 4)) as cost_cents,
    cast(economics.worth_cents as decimal(30, 4)) as worth_cents,
    cast(economics.profit_cents as decimal(30, 4)) as profit_cents,
    cast(economics.crc_cents as decimal(30, 4)) as crc_cents,
    cast(economics.ratio as decimal(30, 6)) as ratio,
    economics.finding,
    economics.is_must_win,
    run.judged_at
from {{ source('ops', 'economics') }} as economics
inner join {{ source('ops', 'economics_run') }} as run
    on economics.economics_run_id = run.economics_run_id
