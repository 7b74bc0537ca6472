-- Recency, frequency and monetary value as quintiles, 5 the best; ties are broken by the key so
-- that the same data always gives the same scores.
{{ config(materialized='view') }}

with scored as (
    select
        rhythm.customer_key,
        rhythm.n_purchases,
        rhythm.n_orders,
        rhythm.turnover_cents,
        ntile(5) over (
            order by rhythm.last_purchase_date, rhythm.customer_key
        ) as recency_score,
        ntile(5) over (
            order by rhythm.n_purchases, rhythm.turnover_cents, rhythm.customer_key
        ) as frequency_score,
        ntile(5) over (order by rhythm.turnover_cents, rhythm.customer_key) as monetary_score
    from {{ ref('int_customers__rhythm') }} as rhythm
)

-- The segment looks at what a customer did while active, so it is the one they had before they
-- lapsed.
select
    *,
    case
        when monetary_score = 5 then 'high'
        when monetary_score >= 3 then 'medium'
        else 'low'
    end as value_tier,
    case
        when n_purchases = 1 then 'one_time_buyer'
        when frequency_score = 5 and monetary_score = 5 then 'champion'
        when frequency_score >= 4 then 'loyal'
        else 'occasional'
    end as segment_before
from scored
