select
    visit_id,
    customer_key,
    visited_at,
    reached,
    n_pages
from {{ source('raw', 'visits') }}
where {{ is_in_feed('visited_at') }}
