-- What customers bought, net of what was paid back to them; where more was paid back than paid
-- there was no turnover. Without a common table expression, as are the views over it: the database
-- looks through them then, and scores nobody but whom it is asked for.
{{ config(materialized='view') }}

select
    rhythm.customer_key,
    rhythm.n_purchases,
    rhythm.n_orders,
    rhythm.last_purchase_date,
    cast(
        greatest(rhythm.turnover_cents - coalesce(repaid.amount_cents, 0), 0) as bigint
    ) as turnover_cents
from {{ ref('int_customers__rhythm') }} as rhythm
left join {{ ref('int_customers__repaid') }} as repaid
    on rhythm.customer_key = repaid.customer_key
