-- Who took a consent back by the as-of date. A row that the source has deleted since counts: a
-- withdrawal outlives it.
select
    consent_id,
    customer_key,
    channel,
    purpose,
    withdrawn_at
from {{ source('raw', 'consents') }}
where {{ is_known('withdrawn_at') }}
