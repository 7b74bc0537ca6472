-- All customers minus those who bought in the last 180 days. Who never bought is not on it.
with buyers as (
    select distinct customer_key
    from {{ ref('fct_orders') }}
    where {{ dbt.datediff("ordered_on", as_of(), "day") }} <= {{ var('inactive_days') }}
)

select
    customers.customer_key,
    {{ as_of() }} as as_of,
    customers.last_purchase_date,
    {{ dbt.datediff("customers.last_purchase_date", as_of(), "day") }} as days_since_last_purchase
from {{ ref('dim_customers') }} as customers
left join buyers on customers.customer_key = buyers.customer_key
where
    buyers.customer_key is null
    and customers.last_purchase_date is not null
