select
    note_id,
    customer_key,
    kind,
    occasion_at,
    noted_at
from {{ source('raw', 'notes') }}
where {{ is_in_feed('noted_at') }}
