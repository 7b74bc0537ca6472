-- Orders since the last build: new, corrected, taken out at the source, or known only since.
select
    order_id,
    customer_key,
    {{ business_date('ordered_at') }} as ordered_on
from {{ source('raw', 'orders') }}
where
    {{ is_new('snapshot_id') }}
    or {{ is_known_since('ordered_at') }}
    or {{ is_known_since('deleted_at') }}
