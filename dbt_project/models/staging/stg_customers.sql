with source as (
    select * from {{ source('raw', 'customers') }}
)

select
    customer_key,
    email_hash,
    locale,
    country,
    registered_at,
    {{ business_date('registered_at') }} as registered_on
from source
where {{ is_known('registered_at') }}
