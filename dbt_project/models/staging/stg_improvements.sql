select
    improvement_id,
    reason,
    product_id,
    category,
    description,
    fixed_at
from {{ source('raw', 'improvements') }}
where {{ is_in_feed('fixed_at') }}
