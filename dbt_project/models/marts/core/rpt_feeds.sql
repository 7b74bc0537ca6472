{{ config(materialized='view') }}

with loads as (
    select
        *,
        row_number() over (partition by feed order by extract_run_id desc) as newest
    from {{ source('ops', 'extract_run') }}
),

-- a column that came after the first load of its source: nobody may have mapped it
first_seen as (
    select
        feed,
        source,
        first_seen_at,
        min(first_seen_at) over (partition by feed, source) as source_seen_at
    from {{ source('ops', 'source_column') }}
),

new_columns as (
    select
        feed,
        source,
        count(*) as n_new_columns
    from first_seen
    where first_seen_at > source_seen_at
    group by feed, source
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
    cast(loads.quarantined_pct as decimal(7, 4)) as quarantined_pct,
    coalesce(new_columns.n_new_columns, 0) as n_new_columns
from {{ source('ops', 'feed_status') }} as status
left join loads on status.feed = loads.feed and loads.newest = 1
left join new_columns on status.feed = new_columns.feed and status.source = new_columns.source
