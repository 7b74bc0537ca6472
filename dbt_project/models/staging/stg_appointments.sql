select
    appointment_id,
    customer_key,
    booked_at,
    planned_for_at,
    case when {{ is_known('cancelled_at') }} then cancelled_at end as cancelled_at,
    case when {{ is_known('cancelled_at') }} then cancelled_by end as cancelled_by
from {{ source('raw', 'appointments') }}
where {{ is_in_feed('booked_at') }}
