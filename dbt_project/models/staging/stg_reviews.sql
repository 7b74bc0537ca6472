select
    review_id,
    customer_key,
    order_id,
    product_id,
    rating,
    reviewed_at
from {{ source('raw', 'reviews') }}
where {{ is_in_feed('reviewed_at') }}
