-- Who bought before registering (a guest, an import) is a customer from the first purchase on.
select
    coalesce(customers.customer_key, rhythm.customer_key) as customer_key,
    customers.locale,
    customers.country,
    least(customers.registered_on, rhythm.first_purchase_date) as registered_on,
    rhythm.first_purchase_date,
    rhythm.last_purchase_date,
    cast(coalesce(customers.n_records, 1) as bigint) as n_records,
    coalesce(rfm.n_orders, 0) as n_orders,
    coalesce(rhythm.n_purchases, 0) as n_purchases,
    coalesce(rfm.turnover_cents, 0) as turnover_cents,
    rfm.recency_score,
    rfm.frequency_score,
    rfm.monetary_score,
    rfm.value_tier,
    rfm.segment_before
from {{ ref('int_customers__known') }} as customers
full outer join {{ ref('int_customers__rhythm') }} as rhythm
    on customers.customer_key = rhythm.customer_key
left join {{ ref('int_customers__rfm') }} as rfm
    on rhythm.customer_key = rfm.customer_key
