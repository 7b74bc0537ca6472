-- Who was lost and who came back, month by month, by the main reason. What a loss costs is what
-- the customer paid in the year up to the last purchase, net of returns; who comes back brings the
-- same back.
-- The lowest tier is the rest, and need not be held in memory.
with above_low as (
    select
        customer_key,
        value_tier
    from {{ ref('dim_customers') }}
    where value_tier <> 'low'
),

losses as (
    select
        coalesce(reasons.reason, 'unknown') as reason,
        -- so is who had a contract and never bought
        coalesce(customers.value_tier, 'low') as value_tier,
        coalesce(bought.category, 'not known') as category,
        coalesce(bought.product_id, 'not known') as product_id,
        {{ dbt.date_trunc('month', 'cast(losses.lost_on as timestamp)') }} as lost_in,
        {{ dbt.date_trunc('month', 'cast(losses.returned_on as timestamp)') }} as returned_in,
        losses.turnover_cents
    from {{ ref('int_losses__netted') }} as losses
    left join {{ ref('int_reasons__ranked') }} as reasons
        on
            losses.customer_key = reasons.customer_key
            and losses.lost_on = reasons.lost_on
            and reasons.rank = 1
    left join above_low as customers on losses.customer_key = customers.customer_key
    left join {{ ref('int_losses__bought') }} as bought
        on losses.customer_key = bought.customer_key and losses.lost_on = bought.lost_on
    where losses.is_lapsed
),

-- few rows, that what follows need not be done with every loss
counted as (
    select
        reason,
        value_tier,
        category,
        product_id,
        lost_in,
        returned_in,
        count(*) as n,
        sum(turnover_cents) as cents
    from losses
    group by reason, value_tier, category, product_id, lost_in, returned_in
),

events as (
    select
        cast(lost_in as date) as month,  -- noqa: RF04
        reason,
        value_tier,
        category,
        product_id,
        n as n_lost,
        0 as n_returned,
        cents as turnover_lost_cents,
        0 as turnover_returned_cents
    from counted
    union all
    select
        cast(returned_in as date) as month,  -- noqa: RF04
        reason,
        value_tier,
        category,
        product_id,
        0 as n_lost,
        n as n_returned,
        0 as turnover_lost_cents,
        cents as turnover_returned_cents
    from counted
    where returned_in is not null
)

select
    events.month,
    events.reason,
    described.is_own_fault,
    events.value_tier,
    events.category,
    events.product_id,
    products.name as product_name,
    cast(sum(events.n_lost) as integer) as n_lost,
    cast(sum(events.n_returned) as integer) as n_returned,
    cast(sum(events.turnover_lost_cents) as bigint) as turnover_lost_cents,
    cast(sum(events.turnover_returned_cents) as bigint) as turnover_returned_cents
from events
inner join {{ ref('int_reasons__described') }} as described on events.reason = described.reason
left join {{ ref('stg_products') }} as products on events.product_id = products.product_id
group by
    events.month,
    events.reason,
    described.is_own_fault,
    events.value_tier,
    events.category,
    events.product_id,
    products.name
