with source as (
    select * from {{ source('raw', 'visits') }}
)

select
    visit_id,
    customer_key,
    visited_at,
    reached,
    n_pages
from source
where {{ is_in_feed('visited_at') }}
