{{ config(materialized='view') }}

with numbered as (
    select
        *,
        row_number() over (
            partition by as_of, campaign_id, cohort, segment
            order by revision desc
        ) as newest
    from {{ source('ops', 'kpi_snapshot') }}
)

select
    as_of,
    campaign_id,
    cohort,
    segment,
    revision,
    is_window_closed,
    n_candidates,
    n_excluded,
    n_holdout,
    n_treated,
    n_accepted,
    n_delivered,
    n_bounced,
    n_unsubscribed,
    n_unknown,
    n_recovered_treated,
    n_recovered_holdout,
    naive_pct,
    incremental_pct,
    incremental_low_pct,
    incremental_high_pct,
    reading
from numbered
where newest = 1
