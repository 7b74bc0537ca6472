-- Kept so that the next build sees which of these spans are new, changed or gone. Read after
-- int_customers__restated compared them.
-- depends_on: {{ ref('int_customers__restated') }}
select
    customer_key,
    signal,
    from_date,
    until_date
from {{ ref('int_facts__dated') }}
