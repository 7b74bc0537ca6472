{{ config(materialized='view') }}

-- Whether warnings come true. Each month is judged by the first date of it that was recorded, so
-- that nobody counts twice; a month is open until its 90 days are over.
with days as (
    select
        cast({{ dbt.date_trunc('month', 'as_of') }} as date) as month,
        min(as_of) as warned_on
    from {{ source('ops', 'warning_day') }}
    where as_of <= {{ as_of() }}
    group by cast({{ dbt.date_trunc('month', 'as_of') }} as date)
),

watched as (
    select
        days.month,
        days.warned_on,
        changes.customer_key
    from days
    inner join {{ ref('fct_customer_state_changes') }} as changes
        on
            days.warned_on >= changes.valid_from
            and (changes.valid_until is null or days.warned_on < changes.valid_until)
    where not changes.is_lapsed
),

lost as (
    select
        watched.month,
        watched.customer_key,
        min({{ dbt.datediff("watched.warned_on", "changes.valid_from", "day") }}) as lead_days
    from watched
    inner join {{ ref('fct_customer_state_changes') }} as changes
        on
            watched.customer_key = changes.customer_key
            and watched.warned_on < changes.valid_from
    where
        changes.is_lapsed
        and changes.valid_from <= {{ days_after('watched.warned_on', 90) }}
    group by watched.month, watched.customer_key
),

warned as (
    select distinct
        warnings.as_of,
        coalesce(merged.person_key, warnings.customer_key) as customer_key
    from {{ source('ops', 'warning') }} as warnings
    left join {{ ref('int_customers__merged') }} as merged
        on warnings.customer_key = merged.customer_key
),

counted as (
    select
        watched.month,
        watched.warned_on,
        {{ days_after('watched.warned_on', 90) }} < {{ as_of() }} as is_closed,
        count(*) as n_watched,
        count(warned.customer_key) as n_warned,
        count(lost.customer_key) as n_lapsed,
        count(case when warned.customer_key is not null then lost.customer_key end) as n_true,
        percentile_cont(0.5) within group (
            order by case when warned.customer_key is not null then lost.lead_days end
        ) as median_lead_days
    from watched
    left join lost
        on watched.month = lost.month and watched.customer_key = lost.customer_key
    left join warned
        on watched.warned_on = warned.as_of and watched.customer_key = warned.customer_key
    group by watched.month, watched.warned_on
)

select
    month as as_of_month,
    warned_on,
    is_closed,
    cast(n_watched as integer) as n_watched,
    cast(n_warned as integer) as n_warned,
    {% for name, value in [
        ('n_lapsed_within_90_days', 'n_lapsed'),
        ('n_warned_and_lapsed', 'n_true'),
    ] %}
        cast(case when is_closed then {{ value }} end as integer) as {{ name }},
    {% endfor %}
    {% for name, part, whole in [
        ('precision_pct', 'n_true', 'n_warned'),
        ('base_rate_pct', 'n_lapsed', 'n_watched'),
        ('recall_pct', 'n_true', 'n_lapsed'),
    ] %}
        cast(
            case when is_closed then round(100.0 * {{ part }} / nullif({{ whole }}, 0), 4) end
            as decimal(9, 4)
        ) as {{ name }},
    {% endfor %}
    cast(case when is_closed then median_lead_days end as decimal(9, 1)) as median_lead_days
from counted
