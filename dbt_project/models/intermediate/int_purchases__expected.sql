-- What is expected after each purchase: by the calendar for those who buy by it, else by the
-- rhythm.
{{ config(materialized='view') }}

select
    rhythm.customer_key,
    rhythm.purchase_date,
    rhythm.first_purchase_date,
    rhythm.next_purchase_date,
    rhythm.last_ordered_at,
    rhythm.n_orders_so_far,
    rhythm.turnover_so_far_cents,
    rhythm.turnover_year_cents,
    rhythm.gap_days,
    rhythm.n_gaps,
    rhythm.gap_sum_days,
    rhythm.stock_factor,
    calendar.kind as calendar_kind,
    cast(coalesce(calendar.due_from_days, rhythm.early_days) as decimal(9, 2)) as early_days,
    cast(coalesce(calendar.due_days, rhythm.expected_days) as decimal(9, 2)) as expected_days,
    cast(coalesce(calendar.due_until_days, rhythm.late_days) as decimal(9, 2)) as late_days,
    cast(
        coalesce(calendar.due_days, least(rhythm.late_days, rhythm.usual_lapse_days))
        as decimal(9, 2)
    ) as at_risk_after_days,
    cast(
        least(calendar.due_until_days, rhythm.usual_lapse_days) as decimal(9, 2)
    ) as usual_lapse_days,
    cast(
        coalesce(calendar.due_until_days, rhythm.lapse_after_days) as decimal(9, 2)
    ) as lapse_after_days
from {{ ref('int_purchases__rhythm') }} as rhythm
left join {{ ref('int_purchases__calendar') }} as calendar
    on
        rhythm.customer_key = calendar.customer_key
        and rhythm.purchase_date = calendar.purchase_date
