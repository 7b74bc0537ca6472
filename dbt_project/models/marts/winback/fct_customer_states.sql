-- The one place that says in which order the states are tried; the first that fits counts.
with rhythm as (
    select * from {{ ref('int_customers__rhythm') }}
),

returned as (
    select
        customer_key,
        returned_on
    from {{ ref('int_customers__returned') }}
    where {{ dbt.datediff("returned_on", as_of(), "day") }} <= {{ var('recovery_window_days') }}
)

select
    rhythm.customer_key,
    {{ as_of() }} as as_of,
    case
        when rhythm.days_since_last_purchase > 2 * rhythm.lapse_after_days then 'inactive'
        when rhythm.days_since_last_purchase > rhythm.lapse_after_days then 'sleeping'
        when returned.customer_key is not null then 'returned'
        when rhythm.days_since_last_purchase > rhythm.expected_gap_days then 'at_risk'
        else 'active'
    end as state,
    rhythm.days_since_last_purchase > rhythm.lapse_after_days as is_lapsed,
    rhythm.last_purchase_date,
    rhythm.days_since_last_purchase,
    rhythm.n_purchases,
    rhythm.expected_gap_days,
    rhythm.lapse_after_days
from rhythm
left join returned on rhythm.customer_key = returned.customer_key
