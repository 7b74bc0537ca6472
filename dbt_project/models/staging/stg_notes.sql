with source as (
    select * from {{ source('raw', 'notes') }}
)

select
    note_id,
    customer_key,
    kind,
    occasion_at,
    noted_at
from source
where {{ is_in_feed('noted_at') }}
