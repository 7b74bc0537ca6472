select
    contract_id,
    customer_key,
    product_id,
    started_at,
    ends_at,
    case when {{ is_known('cancelled_at') }} then cancelled_at end as cancelled_at,
    case when {{ is_known('cancelled_at') }} then cancellation_reason end as cancellation_reason,
    case when {{ is_known('revoked_at') }} then revoked_at end as revoked_at,
    amount_cents,
    currency
from {{ source('raw', 'contracts') }}
where {{ is_in_feed('started_at') }}
