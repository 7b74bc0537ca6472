-- The timeline on the as-of date; without a purchase there is no rhythm, only a contract. In which
-- order the states are tried: int_customers__timeline. What changes by the date alone, such as the
-- days since a purchase, is left to those who read it: then a day concerns only who moved. The date
-- itself changes with the rows, so that nobody ever reads the one with the others of another day.
{{ config(**rebuilt_for('int_customers__moved')) }}
{{ config(post_hook="update {{ ref('int_states__dated') }} set as_of = {{ as_of() }}") }}

select
    timeline.customer_key,
    timeline.state,
    timeline.is_lapsed,
    timeline.not_lapsed_because,
    timeline.valid_from as state_since,
    rhythm.last_purchase_date,
    rhythm.last_ordered_at,
    coalesce(rhythm.n_purchases, 0) as n_purchases,
    {{ days_after('rhythm.last_purchase_date', 'cast(round(rhythm.expected_days) as integer)') }}
        as expected_next_purchase_date,
    {{ days_after('rhythm.last_purchase_date', 'cast(round(rhythm.early_days) as integer)') }}
        as expected_next_purchase_from,
    {{ days_after('rhythm.last_purchase_date', 'cast(round(rhythm.late_days) as integer)') }}
        as expected_next_purchase_until,
    rhythm.expected_days as expected_gap_days,
    rhythm.lapse_after_days
from {{ ref('int_customers__timeline') }} as timeline
left join {{ ref('int_customers__rhythm') }} as rhythm
    on timeline.customer_key = rhythm.customer_key
where
    {{ is_of('int_customers__moved', 'timeline.customer_key') }}
    and timeline.valid_from <= {{ as_of() }}
    and (timeline.valid_until is null or {{ as_of() }} < timeline.valid_until)
