select
    customer_key,
    measure,
    used_at,
    amount
from {{ source('raw', 'usage') }}
where {{ is_in_feed('used_at') }}
