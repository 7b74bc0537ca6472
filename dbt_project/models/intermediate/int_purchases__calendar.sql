-- Silences that a season explains: whoever buys in the same weeks of each year is not gone before
-- those weeks have passed again. Each silence is judged by the purchases before it alone.
with silences as (
    select
        customer_key,
        purchase_date,
        next_purchase_date,
        n_gaps,
        usual_lapse_days
    from {{ ref('int_purchases__rhythm') }}
    where
        n_gaps > 0
        and first_purchase_date <= {{ days_after('purchase_date', '-(365 - ' ~ var('season_days') ~ ')') }}
        and (
            next_purchase_date is null
            or {{ dbt.datediff("purchase_date", "next_purchase_date", "day") }} > usual_lapse_days
        )
),

-- how far an earlier purchase lies from an anniversary, and which one
compared as (
    select
        silences.customer_key,
        silences.purchase_date,
        cast(
            round({{ dbt.datediff("earlier.purchase_date", "silences.purchase_date", "day") }} / 365.25)
            as integer
        ) as years_before,
        {{ dbt.datediff("earlier.purchase_date", "silences.purchase_date", "day") }} as days_before
    from silences
    inner join {{ ref('int_purchases__rhythm') }} as earlier
        on silences.customer_key = earlier.customer_key
    where earlier.purchase_date <= silences.purchase_date
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
    silences.customer_key,
    silences.purchase_date,
    case when seasons.n_purchases = seasons.n_years then 'yearly' else 'seasonal' end as because,
    {{ days_after('silences.purchase_date', '365 + ' ~ var('season_days')) }} as excused_until
from silences
inner join seasons
    on
        silences.customer_key = seasons.customer_key
        and silences.purchase_date = seasons.purchase_date
where
    seasons.n_years >= 2
    and 100 * seasons.n_in_season >= {{ var('season_share_pct') }} * seasons.n_purchases
