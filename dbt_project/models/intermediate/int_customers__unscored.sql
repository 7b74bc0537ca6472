-- Everybody who is known, with what they bought, net of what was paid back to them; where more was
-- paid back than paid there was no turnover. Who bought before registering (a guest, an import) is
-- a customer from the first purchase on. Scores depend on everybody and are told when somebody
-- reads dim_customers: then a day writes only who bought.
{{ config(**rebuilt_for('int_customers__resummed')) }}

with known as (
    select * from {{ ref('int_customers__known') }}
    where {{ is_of('int_customers__resummed') }}
),

rhythm as (
    select * from {{ ref('int_customers__rhythm') }}
    where {{ is_of('int_customers__resummed') }}
)

select
    coalesce(known.customer_key, rhythm.customer_key) as customer_key,
    known.locale,
    known.country,
    least(known.registered_on, rhythm.first_purchase_date) as registered_on,
    rhythm.first_purchase_date,
    rhythm.last_purchase_date,
    cast(coalesce(known.n_records, 1) as bigint) as n_records,
    coalesce(rhythm.n_orders, 0) as n_orders,
    coalesce(rhythm.n_purchases, 0) as n_purchases,
    cast(
        greatest(coalesce(rhythm.turnover_cents, 0) - coalesce(repaid.amount_cents, 0), 0) as bigint
    ) as turnover_cents
from known
full outer join rhythm on known.customer_key = rhythm.customer_key
left join {{ ref('int_customers__repaid') }} as repaid
    on rhythm.customer_key = repaid.customer_key
