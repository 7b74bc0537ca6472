-- What is expected after the newest purchase.
{{ config(**rebuilt_for('int_customers__touched')) }}

select
    customer_key,
    first_purchase_date,
    purchase_date as last_purchase_date,
    last_ordered_at,
    n_orders_so_far as n_orders,
    turnover_so_far_cents as turnover_cents,
    n_gaps,
    gap_sum_days,
    stock_factor,
    calendar_kind,
    early_days,
    expected_days,
    late_days,
    usual_lapse_days,
    lapse_after_days,
    cast(n_gaps + 1 as bigint) as n_purchases
from {{ ref('int_purchases__expected') }}
where next_purchase_date is null and {{ is_of('int_customers__touched') }}
