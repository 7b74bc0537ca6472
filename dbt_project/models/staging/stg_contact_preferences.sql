select
    customer_key,
    channel,
    is_wanted,
    max_per_month,
    stated_at
from {{ source('raw', 'contact_preferences') }}
where {{ is_in_feed('stated_at') }}
