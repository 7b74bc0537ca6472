with source as (
    select * from {{ source('raw', 'reviews') }}
)

select
    review_id,
    customer_key,
    order_id,
    product_id,
    rating,
    reviewed_at
from source
where {{ is_in_feed('reviewed_at') }}
