-- Recency, frequency and monetary value as quintiles, 5 the best: what ntile(5) over all who ever
-- bought gives, told from the bounds between the fifths alone. Ties are broken by the key so that
-- the same data always gives the same scores. Without a common table expression, as is the view
-- over it: the database looks through them then, and scores nobody but whom it is asked for.
{{ config(materialized='view') }}

select
    unscored.customer_key,
    unscored.locale,
    unscored.country,
    unscored.registered_on,
    unscored.first_purchase_date,
    unscored.last_purchase_date,
    unscored.n_records,
    unscored.n_orders,
    unscored.n_purchases,
    unscored.turnover_cents,
    {{ quintile_of('recency', 'unscored', 'bounds') }} as recency_score,
    {{ quintile_of('frequency', 'unscored', 'bounds') }} as frequency_score,
    {{ quintile_of('monetary', 'unscored', 'bounds') }} as monetary_score
from {{ ref('int_customers__unscored') }} as unscored
cross join {{ ref('int_quintiles__spread') }} as bounds
