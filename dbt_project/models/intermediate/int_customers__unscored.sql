-- Everybody who is known, with what they bought, net of what was paid back to them; where more was
-- paid back than paid there was no turnover. Who bought before registering (a guest, an import) is
-- a customer from the first purchase on. Scores depend on everybody and are told when somebody
-- reads dim_customers: then a day writes only who bought. Nothing here needs the rhythm, so that it
-- is built beside it. The margin is known only where the cost of every order is.
{{ config(**rebuilt_for('int_customers__resummed')) }}

with known as (
    select * from {{ ref('int_customers__known') }}
    where {{ is_of('int_customers__resummed') }}
),

bought as (
    select
        customer_key,
        min(purchase_date) as first_purchase_date,
        max(purchase_date) as last_purchase_date,
        cast(sum(n_orders) as bigint) as n_orders,
        count(*) as n_purchases,
        cast(sum(amount_cents) as bigint) as paid_cents,
        case when count(cost_cents) = count(*) then cast(sum(cost_cents) as bigint) end
            as cost_cents
    from {{ ref('int_orders__daily') }}
    where {{ is_of('int_customers__resummed') }}
    group by customer_key
)

select
    coalesce(known.customer_key, bought.customer_key) as customer_key,
    known.locale,
    known.country,
    least(known.registered_on, bought.first_purchase_date) as registered_on,
    bought.first_purchase_date,
    bought.last_purchase_date,
    cast(coalesce(known.n_records, 1) as bigint) as n_records,
    coalesce(bought.n_orders, 0) as n_orders,
    coalesce(bought.n_purchases, 0) as n_purchases,
    coalesce(bought.paid_cents, 0) as paid_cents,
    bought.paid_cents - bought.cost_cents as margin_cents,
    cast(
        greatest(coalesce(bought.paid_cents, 0) - coalesce(repaid.amount_cents, 0), 0) as bigint
    ) as turnover_cents
from known
full outer join bought on known.customer_key = bought.customer_key
left join {{ ref('int_customers__repaid') }} as repaid
    on bought.customer_key = repaid.customer_key
