-- Several orders on one day are one purchase occasion: counting them apart would put gaps of zero
-- days into everybody's rhythm.
{{ config(**rebuilt_for(
    'int_customers__touched', key=['customer_key', 'purchase_date'], until='purchase_date'
)) }}

with orders as (
    select
        coalesce(merged.person_key, bought.customer_key) as customer_key,
        bought.ordered_on,
        bought.ordered_at,
        bought.quantity,
        bought.amount_cents,
        bought.cost_cents
    from {{ ref('stg_orders') }} as bought
    left join {{ ref('int_customers__merged') }} as merged
        on bought.customer_key = merged.customer_key
    {{ since_changed('int_customers__touched', 'bought', 'ordered_on') }}
)

select
    customer_key,
    ordered_on as purchase_date,
    count(*) as n_orders,
    cast(sum(quantity) as bigint) as quantity,
    cast(sum(amount_cents) as bigint) as amount_cents,
    case when count(cost_cents) = count(*) then cast(sum(cost_cents) as bigint) end as cost_cents,
    max(ordered_at) as last_ordered_at
from orders
group by customer_key, ordered_on
-- whoever reads a few customers reads few pages
order by customer_key
