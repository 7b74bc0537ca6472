with source as (
    select * from {{ source('raw', 'returns') }}
)

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
from source
where {{ is_in_feed('returned_at') }}
