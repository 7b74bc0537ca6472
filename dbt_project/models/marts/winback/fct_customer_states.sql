-- The timeline on the as-of date. In which order the states are tried: int_customers__timeline.
select
    timeline.customer_key,
    {{ as_of() }} as as_of,
    timeline.state,
    timeline.is_lapsed,
    timeline.not_lapsed_because,
    timeline.valid_from as state_since,
    rhythm.last_purchase_date,
    {{ dbt.datediff("rhythm.last_purchase_date", as_of(), "day") }} as days_since_last_purchase,
    rhythm.n_purchases,
    {{ days_after('rhythm.last_purchase_date', 'cast(round(rhythm.expected_days) as integer)') }}
        as expected_next_purchase_date,
    {{ days_after('rhythm.last_purchase_date', 'cast(round(rhythm.early_days) as integer)') }}
        as expected_next_purchase_from,
    {{ days_after('rhythm.last_purchase_date', 'cast(round(rhythm.late_days) as integer)') }}
        as expected_next_purchase_until,
    rhythm.expected_days as expected_gap_days,
    rhythm.lapse_after_days
from {{ ref('int_customers__timeline') }} as timeline
inner join {{ ref('int_customers__rhythm') }} as rhythm
    on timeline.customer_key = rhythm.customer_key
where
    timeline.valid_from <= {{ as_of() }}
    and (timeline.valid_until is null or {{ as_of() }} < timeline.valid_until)
