-- What was paid back to each customer so far.
{{ config(materialized='view') }}

select
    customer_key,
    sum(amount_cents) as amount_cents
from {{ ref('int_returns__daily') }}
group by customer_key
