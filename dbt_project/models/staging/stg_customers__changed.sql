-- Customers since the last build: new, corrected, taken out at the source, or known only since.
select customer_key
from {{ source('raw', 'customers') }}
where
    {{ is_new('snapshot_id') }}
    or {{ is_known_since('registered_at') }}
    or {{ is_known_since('deleted_at') }}
