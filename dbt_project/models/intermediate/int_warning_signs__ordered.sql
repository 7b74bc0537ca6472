-- Signs in what customers order who still buy: nothing for longer than usual, longer gaps, smaller
-- baskets. Who said to be away until later is not late.
{{ config(materialized='view') }}

with gaps as (
    select
        rhythm.*,
        {{ dbt.datediff("rhythm.last_purchase_date", as_of(), "day") }} as days_since,
        cast(
            {{ dbt.datediff("rhythm.third_newest_date", "rhythm.last_purchase_date", "day") }}
            / 2.0 as decimal(9, 2)
        ) as recent_gap_days,
        cast(
            {{ dbt.datediff("rhythm.first_purchase_date", "rhythm.third_newest_date", "day") }}
            * 1.0 / nullif(rhythm.n_gaps - 2, 0) as decimal(9, 2)
        ) as earlier_gap_days
    from {{ ref('int_customers__rhythm') }} as rhythm
    inner join {{ ref('int_customers__standing') }} as standing
        on rhythm.customer_key = standing.customer_key
    where
        not standing.is_lapsed
        and rhythm.customer_key not in (
            select customer_key
            from {{ ref('int_reasons__stated') }}
            where absent_until >= {{ as_of() }}
        )
)

select
    customer_key,
    'rarer_orders' as sign,
    case
        when days_since > late_days then {{ sign_in_words(
            'overdue', {'usual': whole('expected_days'), 'silent': whole('days_since')}
        ) }}
        else {{ sign_in_words('rarer_orders', {
            'usual': whole('earlier_gap_days'), 'recent': whole('recent_gap_days')
        }) }}
    end as in_words,
    case
        when days_since > late_days then {{ first_as_of_past('last_purchase_date', 'late_days') }}
        else last_purchase_date
    end as since
from gaps
where
    n_gaps > 0
    and (
        days_since > late_days
        or (
            n_gaps >= 5
            -- the gaps of a season differ by themselves
            and calendar_kind is null
            and recent_gap_days >= {{ var('rarer_orders_factor') }} * earlier_gap_days
        )
    )
union all
select
    customer_key,
    'smaller_baskets' as sign,
    {{ sign_in_words(
        'smaller_baskets', {'pct': whole('100 - 100.0 * recent_cents / earlier_cents')}
    ) }} as in_words,
    second_newest_date as since
from gaps
where
    n_gaps >= 4
    and earlier_cents > 0
    and recent_cents <= {{ var('smaller_baskets_factor') }} * earlier_cents
