-- Purchases after which the calendar tells when the next one is due: whoever buys in the same weeks
-- of each year is not gone before those weeks have passed again, and is gone then. Each purchase is
-- judged by those before it alone.
{{ config(**rebuilt_for('int_customers__touched', key=['customer_key', 'purchase_date'])) }}

with judged as (
    select
        customer_key,
        purchase_date
    from {{ ref('int_purchases__rhythm') }}
    where
        {{ is_of('int_customers__touched') }}
        and n_gaps > 0
        and first_purchase_date
        <= {{ days_after('purchase_date', '-(365 - ' ~ var('season_days') ~ ')') }}
        and (
            next_purchase_date is null
            or {{ dbt.datediff("purchase_date", "next_purchase_date", "day") }}
            > least(usual_lapse_days, 365 - {{ var('season_days') }})
        )
),

-- how far an earlier purchase lies from an anniversary, and which one
compared as (
    select
        judged.customer_key,
        judged.purchase_date,
        cast(
            round({{ dbt.datediff("earlier.purchase_date", "judged.purchase_date", "day") }} / 365.25)
            as integer
        ) as years_before,
        {{ dbt.datediff("earlier.purchase_date", "judged.purchase_date", "day") }} as days_before
    from judged
    inner join {{ ref('int_purchases__rhythm') }} as earlier
        on judged.customer_key = earlier.customer_key
    where earlier.purchase_date <= judged.purchase_date
),

seasons as (
    select
        customer_key,
        purchase_date,
        count(*) as n_purchases,
        sum(
            case
                when abs(days_before - years_before * 365.25) <= {{ var('season_days') }} then 1
                else 0
            end
        ) as n_in_season,
        count(
            distinct case
                when abs(days_before - years_before * 365.25) <= {{ var('season_days') }}
                    then years_before
            end
        ) as n_years
    from compared
    group by customer_key, purchase_date
)

select
    customer_key,
    purchase_date,
    case when n_purchases = n_years then 'yearly' else 'seasonal' end as kind,
    365 - {{ var('season_days') }} as due_from_days,
    365 as due_days,
    365 + {{ var('season_days') }} as due_until_days
from seasons
where
    n_years >= 2
    and 100 * n_in_season >= {{ var('season_share_pct') }} * n_purchases
