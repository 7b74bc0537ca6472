with source as (
    select * from {{ source('raw', 'usage') }}
)

select
    customer_key,
    measure,
    used_at,
    amount
from source
where {{ is_in_feed('used_at') }}
