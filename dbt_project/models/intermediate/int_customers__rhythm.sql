with purchases as (
    select
        customer_key,
        purchase_date,
        last_ordered_at,
        {{ dbt.datediff(
            "lag(purchase_date) over (partition by customer_key order by purchase_date)",
            "purchase_date",
            "day"
        ) }} as gap_days
    from {{ ref('int_orders__daily') }}
),

population as (
    select
        cast(
            percentile_cont(0.9) within group (order by gap_days) as decimal(9, 2)
        ) as gap_days_p90
    from purchases
    where gap_days is not null
),

personal as (
    select
        customer_key,
        min(purchase_date) as first_purchase_date,
        max(purchase_date) as last_purchase_date,
        max(last_ordered_at) as last_ordered_at,
        count(*) as n_purchases,
        count(gap_days) as n_gaps,
        cast(
            percentile_cont(0.9) within group (order by gap_days) as decimal(9, 2)
        ) as gap_days_p90
    from purchases
    group by customer_key
),

-- a personal gap weighs as much as the population's once three gaps stand behind it
shrunk as (
    select
        personal.customer_key,
        personal.first_purchase_date,
        personal.last_purchase_date,
        personal.last_ordered_at,
        personal.n_purchases,
        personal.n_gaps,
        {{ dbt.datediff("personal.last_purchase_date", as_of(), "day") }}
            as days_since_last_purchase,
        cast(
            case
                when personal.n_gaps > 0 then round(
                    (personal.n_gaps * personal.gap_days_p90 + 3 * population.gap_days_p90)
                    / (personal.n_gaps + 3),
                    2
                )
            end as decimal(9, 2)
        ) as expected_gap_days
    from personal
    cross join population
)

select
    *,
    cast(
        case
            when n_gaps = 0 then {{ var('inactive_days') }}
            else round(expected_gap_days * {{ var('lapse_multiplier') }}, 2)
        end as decimal(9, 2)
    ) as lapse_after_days
from shrunk
