select
    consent_id,
    customer_key,
    channel,
    granted_at,
    case when {{ is_known('confirmed_at') }} then confirmed_at end as confirmed_at,
    case when {{ is_known('withdrawn_at') }} then withdrawn_at end as withdrawn_at,
    text_version,
    source as given_at_source,
    purpose,
    ground,
    advertiser,
    email_hash
from {{ source('raw', 'consents') }}
where {{ is_in_feed('granted_at') }}
