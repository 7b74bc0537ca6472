{{ config(**rebuilt_for('int_orders__touched', by='order_id', key=['order_id'])) }}

select
    orders.order_id,
    coalesce(merged.person_key, orders.customer_key) as customer_key,
    orders.ordered_at,
    orders.ordered_on,
    orders.quantity,
    orders.amount_cents,
    orders.currency
from {{ ref('stg_orders') }} as orders
left join {{ ref('int_customers__merged') }} as merged
    on orders.customer_key = merged.customer_key
where {{ is_of('int_orders__touched', 'orders.order_id', by='order_id') }}
