-- The segment looks at what a customer did while active, so it is the one they had before they
-- lapsed.
{{ config(materialized='view') }}

select
    customer_key,
    locale,
    country,
    registered_on,
    first_purchase_date,
    last_purchase_date,
    n_records,
    n_orders,
    n_purchases,
    turnover_cents,
    recency_score,
    frequency_score,
    monetary_score,
    case
        when monetary_score = 5 then 'high'
        when monetary_score >= 3 then 'medium'
        when monetary_score >= 1 then 'low'
    end as value_tier,
    case
        when n_purchases = 0 then null
        when n_purchases = 1 then 'one_time_buyer'
        when frequency_score = 5 and monetary_score = 5 then 'champion'
        when frequency_score >= 4 then 'loyal'
        else 'occasional'
    end as segment_before
from {{ ref('int_customers__scored') }}
