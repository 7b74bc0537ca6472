-- Kept so that the next build sees which of these are new, changed or gone. Read after
-- int_customers__resummed compared them.
-- depends_on: {{ ref('int_customers__resummed') }}
select
    customer_key,
    returned_on,
    amount_cents
from {{ ref('int_returns__dated') }}
