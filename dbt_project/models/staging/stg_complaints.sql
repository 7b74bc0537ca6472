select
    complaint_id,
    customer_key,
    order_id,
    product_id,
    reason,
    opened_at,
    case when {{ is_known('resolved_at') }} then resolved_at end as resolved_at
from {{ source('raw', 'complaints') }}
where {{ is_in_feed('opened_at') }}
