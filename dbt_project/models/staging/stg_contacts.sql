with source as (
    select * from {{ source('raw', 'contacts') }}
)

select
    contact_id,
    customer_key,
    channel,
    direction,
    outcome,
    reason,
    absent_until,
    contacted_at
from source
where {{ is_in_feed('contacted_at') }}
