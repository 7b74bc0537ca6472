select
    assignment_id,
    customer_key,
    campaign,
    campaign_type,
    channel,
    arm,
    assigned_at,
    ends_at,
    case when {{ is_known('responded_at') }} then responded_at end as responded_at
from {{ source('raw', 'external_assignments') }}
where {{ is_in_feed('assigned_at') }}
