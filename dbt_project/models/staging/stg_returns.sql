select
    return_id,
    customer_key,
    order_id,
    product_id,
    quantity,
    amount_cents,
    currency,
    reason,
    returned_at,
    {{ business_date('returned_at') }} as returned_on
from {{ source('raw', 'returns') }}
where {{ is_in_feed('returned_at') }}
