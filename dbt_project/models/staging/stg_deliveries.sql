select
    delivery_id,
    customer_key,
    order_id,
    shipped_at,
    promised_at,
    case when {{ is_known('delivered_at') }} then delivered_at end as delivered_at,
    case when {{ is_known('failed_at') }} then failed_at end as failed_at
from {{ source('raw', 'deliveries') }}
where {{ is_in_feed('shipped_at') }}
