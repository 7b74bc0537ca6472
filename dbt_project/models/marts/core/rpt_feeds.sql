{{ config(materialized='view') }}

with loads as (
    select
        *,
        row_number() over (partition by feed order by extract_run_id desc) as newest
    from {{ source('ops', 'extract_run') }}
)

select
    status.feed,
    status.is_present,
    status.is_made_up,
    status.source,
    status.n_rows,
    status.newest_event_at,
    loads.finished_at as loaded_at,
    loads.n_received,
    loads.n_quarantined,
    cast(loads.quarantined_pct as decimal(7, 4)) as quarantined_pct
from {{ source('ops', 'feed_status') }} as status
left join loads on status.feed = loads.feed and loads.newest = 1
