with source as (
    select * from {{ source('raw', 'referrals') }}
)

select
    referral_id,
    customer_key,
    referred_customer_key,
    referred_at
from source
where {{ is_in_feed('referred_at') }}
