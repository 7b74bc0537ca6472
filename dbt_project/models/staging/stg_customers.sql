with source as (
    select * from {{ source('raw', 'customers') }}
)

select
    customer_key,
    email_hash,
    locale,
    country,
    kind,
    registered_at,
    {{ business_date('registered_at') }} as registered_on
from source
where {{ is_in_feed('registered_at') }}
