-- Recency, frequency and monetary value as quintiles, 5 the best: what ntile(5) over all customers
-- gives, told from the bounds between the fifths alone. Ties are broken by the key so that the same
-- data always gives the same scores.
{{ config(materialized='view') }}

select
    netted.customer_key,
    netted.n_purchases,
    netted.n_orders,
    netted.turnover_cents,
    {{ quintile_of('recency', 'netted', 'bounds') }} as recency_score,
    {{ quintile_of('frequency', 'netted', 'bounds') }} as frequency_score,
    {{ quintile_of('monetary', 'netted', 'bounds') }} as monetary_score
from {{ ref('int_customers__netted') }} as netted
cross join {{ ref('int_quintiles__spread') }} as bounds
