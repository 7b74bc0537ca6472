select
    cart_id,
    customer_key,
    created_at,
    case when {{ is_known('updated_at') }} then updated_at end as updated_at,
    case when {{ is_known('checkout_at') }} then checkout_at end as checkout_at,
    case when {{ is_known('ordered_at') }} then ordered_at end as ordered_at,
    case when {{ is_known('ordered_at') }} then order_id end as order_id,
    amount_cents,
    currency
from {{ source('raw', 'carts') }}
where {{ is_in_feed('created_at') }}
