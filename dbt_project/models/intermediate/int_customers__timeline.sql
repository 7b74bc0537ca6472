-- The one place that says in which order the states are tried; the first that fits counts. Holds
-- the future too, as it will be when nothing happens. Contracts make a state only until the first
-- purchase: from then on the purchases do, and a contract only by its cancellation.
{{ config(**rebuilt_for('int_customers__restated', key=['customer_key', 'valid_from'])) }}
{#- a day asks who changes on it -#}
{{ config(indexes=[{'columns': ['customer_key']}, {'columns': ['valid_from']}]) }}

{% set signals = [
    'buyer', 'cancelled', 'troubled', 'returned', 'past_usual_gap', 'silent', 'long_silent',
    'absent', 'moved', 'household', 'seasonal', 'yearly', 'stocked_up',
    'contracted', 'contract_over', 'contract_long_over',
] %}
with ends as (select cast(unnest(array[1, -1]) as integer) as step),

moves as (
    select
        signalled.customer_key,
        signalled.signal,
        ends.step,
        case when ends.step = 1 then signalled.from_date else signalled.until_date end as on_date
    from {{ ref('int_customers__signalled') }} as signalled
    cross join ends
    where
        (ends.step = 1 or signalled.until_date is not null)
        and {{ is_of('int_customers__restated', 'signalled.customer_key') }}
),

-- all moves of a date count together, so each of its rows says the same and the last one stays
standing as (
    select
        {% for signal in signals %}
            sum(case signal when '{{ signal }}' then step else 0 end) over by_date > 0
                as {{ signal }},
        {% endfor %}
        customer_key,
        on_date,
        lead(on_date) over by_date as next_move_on
    from moves
    window by_date as (partition by customer_key order by on_date)
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
    where (buyer or contracted) and (next_move_on is null or on_date < next_move_on)
),

named as (
    select
        customer_key,
        on_date,
        not_lapsed_because,
        cancelled
        or (silent and not_lapsed_because is null)
        or (contract_over and not buyer) as is_lapsed,
        case
            when cancelled then 'cancelled'
            when troubled then 'angry'
            when not_lapsed_because is not null then 'active'
            when long_silent or (contract_long_over and not buyer) then 'inactive'
            when silent or (contract_over and not buyer) then 'sleeping'
            when returned then 'returned'
            when past_usual_gap then 'at_risk'
            else 'active'
        end as state
    from excused
),

compared as (
    select
        *,
        {% for column in ['state', 'is_lapsed', 'not_lapsed_because'] %}
            lag({{ column }}) over by_date as {{ column }}_before,
        {% endfor %}
        row_number() over by_date as nth
    from named
    window by_date as (partition by customer_key order by on_date)
)

select
    customer_key,
    state,
    is_lapsed,
    not_lapsed_because,
    on_date as valid_from,
    lead(on_date) over (partition by customer_key order by on_date) as valid_until
from compared
where
    nth = 1
    or state <> state_before
    or is_lapsed <> is_lapsed_before
    or coalesce(not_lapsed_because, '') <> coalesce(not_lapsed_because_before, '')
