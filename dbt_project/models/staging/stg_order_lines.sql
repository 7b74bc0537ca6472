select
    order_id,
    line_number,
    product_id,
    quantity,
    amount_cents,
    currency,
    ordered_at
from {{ source('raw', 'order_lines') }}
where {{ is_in_feed('ordered_at') }}
