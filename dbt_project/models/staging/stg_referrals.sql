select
    referral_id,
    customer_key,
    referred_customer_key,
    referred_at
from {{ source('raw', 'referrals') }}
where {{ is_in_feed('referred_at') }}
