select
    contact_id,
    customer_key,
    channel,
    direction,
    outcome,
    reason,
    absent_until,
    contacted_at
from {{ source('raw', 'contacts') }}
where {{ is_in_feed('contacted_at') }}
