-- Known only where the cost of every order is.
{{ config(**rebuilt_for('int_customers__touched')) }}

select
    customer_key,
    cast(sum(amount_cents - cost_cents) as bigint) as margin_cents
from {{ ref('int_orders__daily') }}
where {{ is_of('int_customers__touched') }}
group by customer_key
having count(cost_cents) = count(*)
