-- Signs in how a service or the web shop is used: less than before, compared by days. Use and visits
-- of who said to be away until later say nothing.
with facts as (
    select
        customer_key,
        'falling_use' as sign,
        measure,
        amount,
        {{ business_date('used_at') }} as on_date,
        28 as recent_days
    from {{ ref('stg_usage') }}
    union all
    select
        customer_key,
        'falling_visits' as sign,
        'visits' as measure,
        1 as amount,
        {{ business_date('visited_at') }} as on_date,
        60 as recent_days
    from {{ ref('stg_visits') }}
),

dated as (
    select
        coalesce(merged.person_key, facts.customer_key) as customer_key,
        facts.sign,
        facts.measure,
        facts.amount,
        facts.on_date,
        facts.recent_days,
        {{ dbt.datediff("facts.on_date", as_of(), "day") }} as days_ago
    from facts
    left join {{ ref('int_customers__merged') }} as merged
        on facts.customer_key = merged.customer_key
),

-- the recent days, and on average as many of the three times as long before
compared as (
    select
        customer_key,
        sign,
        measure,
        recent_days,
        coalesce(sum(case when days_ago <= recent_days then amount end), 0) as recent,
        coalesce(sum(case when days_ago > recent_days then amount end), 0) / 3.0 as earlier
    from dated
    where days_ago <= 4 * recent_days
    group by customer_key, sign, measure, recent_days
),

fallen as (
    select
        *,
        row_number() over (
            partition by customer_key, sign order by recent / earlier, measure
        ) as nth
    from compared
    where
        -- fewer of them would fall by chance
        earlier >= 3
        and recent <= earlier * case sign
            when 'falling_use' then {{ var('falling_use_factor') }}
            else {{ var('falling_visits_factor') }}
        end
        and customer_key not in (
            select customer_key
            from {{ ref('int_reasons__stated') }}
            where absent_until >= {{ as_of() }}
        )
)

select
    customer_key,
    sign,
    case sign
        when 'falling_visits' then {{ sign_in_words('falling_visits', {
            'visits': count_in_words('recent', 'visits'), 'usual': whole('earlier')
        }) }}
        else {{ sign_in_words('falling_use', {
            'pct': whole('100 - 100.0 * recent / earlier'), 'measure': 'measure'
        }) }}
    end as in_words,
    {{ days_after(as_of(), '-recent_days') }} as since
from fallen
where nth = 1
