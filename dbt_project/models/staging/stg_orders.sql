select
    order_id,
    customer_key,
    ordered_at,
    {{ business_date('ordered_at') }} as ordered_on,
    quantity,
    amount_cents,
    currency,
    cost_cents,
    channel,
    voucher_code
from {{ source('raw', 'orders') }}
where {{ is_in_feed('ordered_at') }}
