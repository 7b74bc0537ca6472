with source as (
    select * from {{ source('raw', 'improvements') }}
)

select
    improvement_id,
    reason,
    product_id,
    category,
    description,
    fixed_at
from source
where {{ is_in_feed('fixed_at') }}
