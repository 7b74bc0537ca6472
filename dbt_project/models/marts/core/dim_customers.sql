-- Who bought before registering (a guest, an import) is a customer from the first purchase on.
{{ config(**rebuilt_for('int_customers__rescored')) }}

with known as (
    select * from {{ ref('int_customers__known') }}
    where {{ is_of('int_customers__rescored') }}
),

rhythm as (
    select * from {{ ref('int_customers__rhythm') }}
    where {{ is_of('int_customers__rescored') }}
),

rfm as (
    select * from {{ ref('int_customers__rfm') }}
    where {{ is_of('int_customers__rescored') }}
)

select
    coalesce(known.customer_key, rhythm.customer_key) as customer_key,
    known.locale,
    known.country,
    least(known.registered_on, rhythm.first_purchase_date) as registered_on,
    rhythm.first_purchase_date,
    rhythm.last_purchase_date,
    cast(coalesce(known.n_records, 1) as bigint) as n_records,
    coalesce(rfm.n_orders, 0) as n_orders,
    coalesce(rhythm.n_purchases, 0) as n_purchases,
    coalesce(rfm.turnover_cents, 0) as turnover_cents,
    rfm.recency_score,
    rfm.frequency_score,
    rfm.monetary_score,
    rfm.value_tier,
    rfm.segment_before
from known
full outer join rhythm on known.customer_key = rhythm.customer_key
left join rfm on rhythm.customer_key = rfm.customer_key
