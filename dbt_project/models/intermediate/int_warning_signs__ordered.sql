-- Signs in what customers order who still buy: nothing for longer than usual, longer gaps, smaller
-- baskets. Who said to be away until later is not late.
{{ config(materialized='view') }}

with signs as (
    select 'rarer_orders' as sign
    union all
    select 'smaller_baskets' as sign
),

gaps as (
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

-- one pass for both signs, which the database can share among its workers
select
    gaps.customer_key,
    signs.sign,
    case
        when signs.sign = 'smaller_baskets' then {{ sign_in_words(
            'smaller_baskets',
            {'pct': whole('100 - 100.0 * gaps.recent_cents / gaps.earlier_cents')}
        ) }}
        when gaps.days_since > gaps.late_days then {{ sign_in_words('overdue', {
            'usual': whole('gaps.expected_days'), 'silent': whole('gaps.days_since')
        }) }}
        else {{ sign_in_words('rarer_orders', {
            'usual': whole('gaps.earlier_gap_days'), 'recent': whole('gaps.recent_gap_days')
        }) }}
    end as in_words,
    case
        when signs.sign = 'smaller_baskets' then gaps.second_newest_date
        when gaps.days_since > gaps.late_days
            then {{ first_as_of_past('gaps.last_purchase_date', 'gaps.late_days') }}
        else gaps.last_purchase_date
    end as since
from gaps
cross join signs
where
    (
        signs.sign = 'rarer_orders'
        and gaps.n_gaps > 0
        and (
            gaps.days_since > gaps.late_days
            or (
                gaps.n_gaps >= 5
                -- the gaps of a season differ by themselves
                and gaps.calendar_kind is null
                and gaps.recent_gap_days
                >= {{ var('rarer_orders_factor') }} * gaps.earlier_gap_days
            )
        )
    )
    or (
        signs.sign = 'smaller_baskets'
        and gaps.n_gaps >= 4
        and gaps.earlier_cents > 0
        and gaps.recent_cents <= {{ var('smaller_baskets_factor') }} * gaps.earlier_cents
    )
