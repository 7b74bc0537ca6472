-- The last two purchases beside those before them.
{{ config(**rebuilt_for('int_customers__touched')) }}

with numbered as (
    select
        customer_key,
        purchase_date,
        amount_cents,
        row_number() over (partition by customer_key order by purchase_date desc) as nth_newest
    from {{ ref('int_purchases__rhythm') }}
    where {{ is_of('int_customers__touched') }}
)

select
    customer_key,
    max(case when nth_newest = 2 then purchase_date end) as second_newest_date,
    max(case when nth_newest = 3 then purchase_date end) as third_newest_date,
    cast(avg(case when nth_newest <= 2 then amount_cents end) as decimal(24, 4)) as recent_cents,
    cast(avg(case when nth_newest between 3 and 8 then amount_cents end) as decimal(24, 4))
        as earlier_cents
from numbered
group by customer_key
