with source as (
    select * from {{ source('raw', 'orders') }}
)

select
    order_id,
    customer_key,
    ordered_at,
    {{ business_date('ordered_at') }} as ordered_on,
    quantity,
    amount_cents,
    currency
from source
where {{ is_known('ordered_at') }}
