select
    product_id,
    name,
    category,
    brand,
    price_cents,
    cost_cents,
    currency,
    listed_at,
    case when {{ is_known('discontinued_at') }} then discontinued_at end as discontinued_at
from {{ source('raw', 'products') }}
where {{ is_in_feed('listed_at') }}
