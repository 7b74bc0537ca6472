-- Everything that moves a customer's state, as spans of as-of dates: from the first one on which it
-- holds to the first on which it does not any more (null: open). A fact counts from the day after it
-- happened. Spans of the future are there already: time alone will bring them about. Only the
-- timeline asks for them, so they are kept of nobody but whom the run concerns.
{{ config(**whom_it_concerns()) }}
{% set is_adding = built('int_customers__timeline') and not should_full_refresh() %}

with expected as (
    select * from {{ ref('int_purchases__expected') }}
    where {{ is_of('int_customers__restated', is_adding=is_adding) }}
),

silences as (
    select
        *,
        {{ days_after('next_purchase_date', 1) }} as broken_on,
        {{ first_as_of_past('purchase_date', 'at_risk_after_days') }} as at_risk_on,
        {{ first_as_of_past('purchase_date', 'usual_lapse_days') }} as usually_lapsed_on,
        {{ first_as_of_past('purchase_date', 'lapse_after_days') }} as lapsed_on,
        {{ first_as_of_past('purchase_date', '2 * lapse_after_days') }} as inactive_on
    from expected
    where
        next_purchase_date is null
        or {{ dbt.datediff("purchase_date", "next_purchase_date", "day") }}
        > least(at_risk_after_days, usual_lapse_days)
),

spans as (
    select
        customer_key,
        'buyer' as signal,
        {{ days_after('purchase_date', 1) }} as from_date,
        cast(null as date) as until_date
    from expected
    where n_gaps = 0
    {% for signal, column in [
        ('past_usual_gap', 'at_risk_on'),
        ('silent', 'usually_lapsed_on'),
        ('long_silent', 'inactive_on'),
    ] %}
        union all
        select
            customer_key,
            '{{ signal }}' as signal,
            {{ column }} as from_date,
            broken_on as until_date
        from silences
    {% endfor %}
    union all
    select
        customer_key,
        coalesce(calendar_kind, 'stocked_up') as signal,
        usually_lapsed_on as from_date,
        least(lapsed_on, broken_on) as until_date
    from silences
    union all
    select
        customer_key,
        'returned' as signal,
        {{ days_after('purchase_date', 1) }} as from_date,
        {{ days_after('purchase_date', var('recovery_window_days') ~ ' + 1') }} as until_date
    from expected
    where gap_days > {{ var('inactive_days') }}
    union all
    select
        customer_key,
        signal,
        from_date,
        until_date
    from {{ ref('int_facts__signalled') }}
    where {{ is_of('int_customers__restated', is_adding=is_adding) }}
)

select * from spans
where until_date is null or from_date < until_date
