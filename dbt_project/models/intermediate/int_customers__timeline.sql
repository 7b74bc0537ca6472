-- The one place that says in which order the states are tried; the first that fits counts. Holds
-- the future too, as it will be when nothing happens.
{% set signals = [
    'buyer', 'cancelled', 'troubled', 'returned', 'past_usual_gap', 'silent', 'long_silent',
    'absent', 'moved', 'household', 'seasonal', 'yearly', 'stocked_up',
] %}
with moves as (
    select
        customer_key,
        signal,
        from_date as on_date,
        1 as step
    from {{ ref('int_customers__signalled') }}
    union all
    select
        customer_key,
        signal,
        until_date as on_date,
        -1 as step
    from {{ ref('int_customers__signalled') }}
    where until_date is not null
),

daily as (
    select
        {% for signal in signals %}
            sum(case signal when '{{ signal }}' then step else 0 end) as {{ signal }},
        {% endfor %}
        customer_key,
        on_date
    from moves
    group by customer_key, on_date
),

standing as (
    select
        {% for signal in signals %}
            sum({{ signal }}) over by_date > 0 as {{ signal }},
        {% endfor %}
        customer_key,
        on_date
    from daily
    window by_date as (partition by customer_key order by on_date rows unbounded preceding)
),

excused as (
    select
        *,
        case
            when not silent then null
            {% for signal in ['absent', 'moved', 'household', 'seasonal', 'yearly', 'stocked_up'] %}
                when {{ signal }} then '{{ signal }}'
            {% endfor %}
        end as not_lapsed_because
    from standing
    where buyer
),

named as (
    select
        customer_key,
        on_date,
        not_lapsed_because,
        cancelled or (silent and not_lapsed_because is null) as is_lapsed,
        case
            when cancelled then 'cancelled'
            when troubled then 'angry'
            when not_lapsed_because is not null then 'active'
            when long_silent then 'inactive'
            when silent then 'sleeping'
            when returned then 'returned'
            when past_usual_gap then 'at_risk'
            else 'active'
        end as state
    from excused
),

compared as (
    select
        *,
        concat_ws(' ', state, is_lapsed, not_lapsed_because) as standing,
        lag(concat_ws(' ', state, is_lapsed, not_lapsed_because)) over (
            partition by customer_key order by on_date
        ) as standing_before
    from named
)

select
    customer_key,
    state,
    is_lapsed,
    not_lapsed_because,
    on_date as valid_from,
    lead(on_date) over (partition by customer_key order by on_date) as valid_until
from compared
where standing_before is null or standing_before <> standing
