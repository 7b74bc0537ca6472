-- What is expected after the newest purchase, and the last two purchases beside those before them.
{{ config(**rebuilt_for('int_customers__touched')) }}

with numbered as (
    select
        customer_key,
        purchase_date,
        amount_cents,
        row_number() over (partition by customer_key order by purchase_date desc) as nth_newest
    from {{ ref('int_purchases__rhythm') }}
    where {{ is_of('int_customers__touched') }}
),

compared as (
    select
        customer_key,
        max(case when nth_newest = 2 then purchase_date end) as second_newest_date,
        max(case when nth_newest = 3 then purchase_date end) as third_newest_date,
        cast(avg(case when nth_newest <= 2 then amount_cents end) as decimal(24, 4))
            as recent_cents,
        cast(avg(case when nth_newest between 3 and 8 then amount_cents end) as decimal(24, 4))
            as earlier_cents
    from numbered
    group by customer_key
)

select
    newest.customer_key,
    newest.first_purchase_date,
    newest.purchase_date as last_purchase_date,
    newest.last_ordered_at,
    newest.n_orders_so_far as n_orders,
    newest.turnover_so_far_cents as turnover_cents,
    newest.n_gaps,
    newest.gap_sum_days,
    newest.stock_factor,
    newest.calendar_kind,
    newest.early_days,
    newest.expected_days,
    newest.late_days,
    newest.usual_lapse_days,
    newest.lapse_after_days,
    cast(newest.n_gaps + 1 as bigint) as n_purchases,
    compared.second_newest_date,
    compared.third_newest_date,
    compared.recent_cents,
    compared.earlier_cents
from {{ ref('int_purchases__expected') }} as newest
inner join compared on newest.customer_key = compared.customer_key
where
    newest.next_purchase_date is null
    and {{ is_of('int_customers__touched', 'newest.customer_key') }}
