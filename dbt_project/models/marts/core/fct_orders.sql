select
    order_id,
    customer_key,
    ordered_at,
    ordered_on,
    quantity,
    amount_cents,
    currency
from {{ ref('stg_orders') }}
