-- Who told the shop not to be advertised to. A record that the source has deleted since counts: an
-- objection outlives it.
select
    customer_key,
    email_hash,
    objected_at
from {{ source('raw', 'customers') }}
where {{ is_known('objected_at') }}
