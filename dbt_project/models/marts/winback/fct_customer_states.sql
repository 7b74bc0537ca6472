{{ config(materialized='view') }}

select
    standing.customer_key,
    dated.as_of,
    standing.state,
    standing.is_lapsed,
    standing.not_lapsed_because,
    standing.state_since,
    standing.last_purchase_date,
    {{ dbt.datediff("standing.last_purchase_date", "dated.as_of", "day") }}
        as days_since_last_purchase,
    standing.n_purchases,
    standing.expected_next_purchase_date,
    standing.expected_next_purchase_from,
    standing.expected_next_purchase_until,
    standing.expected_gap_days,
    standing.lapse_after_days
from {{ ref('int_customers__standing') }} as standing
cross join {{ ref('int_states__dated') }} as dated
