{{ config(materialized='view') }}

with numbered as (
    select
        *,
        row_number() over (partition by as_of order by revision desc) as newest
    from {{ source('ops', 'customer_count') }}
)

select
    as_of,
    revision,
    n_customers,
    n_six_months,
    n_lapsed,
    n_newly_inactive,
    n_returned,
    cast(
        round(
            100.0 * n_newly_inactive / nullif(n_customers - n_six_months + n_newly_inactive, 0), 4
        ) as decimal(9, 4)
    ) as churn_pct
from numbered
where newest = 1
