-- Who somebody is on the as-of date: a merge that was found later, or taken back by then, does not
-- count.
select
    customer_key,
    winner_key as person_key
from {{ source('ops', 'customer_merge') }}
where
    merged_as_of <= {{ as_of() }}
    and (unmerged_as_of is null or unmerged_as_of > {{ as_of() }})
