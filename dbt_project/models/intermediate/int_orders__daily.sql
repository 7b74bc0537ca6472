-- Several orders on one day are one purchase occasion: counting them apart would put gaps of zero
-- days into everybody's rhythm.
select
    customer_key,
    ordered_on as purchase_date,
    count(*) as n_orders,
    cast(sum(quantity) as bigint) as quantity,
    cast(sum(amount_cents) as bigint) as amount_cents,
    max(ordered_at) as last_ordered_at
from {{ ref('stg_orders') }}
group by customer_key, ordered_on
