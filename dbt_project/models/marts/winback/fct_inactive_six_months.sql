-- All customers minus those who bought in the last 180 days. Who never bought is not on it.
select
    customer_key,
    {{ as_of() }} as as_of,
    last_purchase_date,
    {{ dbt.datediff("last_purchase_date", as_of(), "day") }} as days_since_last_purchase
from {{ ref('dim_customers') }}
where {{ dbt.datediff("last_purchase_date", as_of(), "day") }} > {{ var('inactive_days') }}
