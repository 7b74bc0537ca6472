-- Who was lost and who came back, month by month, by the main reason. What a loss costs is what
-- the customer paid in the year up to the last purchase, net of returns; who comes back brings the
-- same back.
with categories as (
    select
        losses.customer_key,
        losses.lost_on,
        products.category,
        row_number() over (
            partition by losses.customer_key, losses.lost_on
            order by count(*) desc, sum(bought.quantity) desc, products.category
        ) as nth
    from {{ ref('int_losses__netted') }} as losses
    inner join {{ ref('int_products__bought') }} as bought
        on
            losses.customer_key = bought.customer_key
            and losses.last_purchase_date >= bought.purchase_date
    inner join {{ ref('stg_products') }} as products on bought.product_id = products.product_id
    where losses.is_lapsed and products.category is not null
    group by losses.customer_key, losses.lost_on, products.category
),

kinds as (
    select true as is_loss
    union all
    select false as is_loss
),

losses as (
    select
        described.reason,
        described.is_own_fault,
        losses.turnover_cents,
        losses.lost_on,
        losses.returned_on,
        -- who had a contract and never bought
        coalesce(customers.value_tier, 'low') as value_tier,
        coalesce(categories.category, 'not known') as category
    from {{ ref('int_losses__netted') }} as losses
    left join {{ ref('int_reasons__ranked') }} as reasons
        on
            losses.customer_key = reasons.customer_key
            and losses.lost_on = reasons.lost_on
            and reasons.rank = 1
    inner join {{ ref('int_reasons__described') }} as described
        on coalesce(reasons.reason, 'unknown') = described.reason
    inner join {{ ref('dim_customers') }} as customers
        on losses.customer_key = customers.customer_key
    left join categories
        on
            losses.customer_key = categories.customer_key
            and losses.lost_on = categories.lost_on
            and categories.nth = 1
    where losses.is_lapsed
),

events as (
    select
        losses.reason,
        losses.is_own_fault,
        losses.value_tier,
        losses.category,
        losses.turnover_cents,
        kinds.is_loss,
        cast({{ dbt.date_trunc(
            'month', 'case when kinds.is_loss then losses.lost_on else losses.returned_on end'
        ) }} as date) as month  -- noqa: RF04
    from losses
    cross join kinds
    where kinds.is_loss or losses.returned_on is not null
)

select
    month,
    reason,
    is_own_fault,
    value_tier,
    category,
    cast(count(case when is_loss then 1 end) as integer) as n_lost,
    cast(count(case when not is_loss then 1 end) as integer) as n_returned,
    cast(sum(case when is_loss then turnover_cents else 0 end) as bigint) as turnover_lost_cents,
    cast(sum(case when is_loss then 0 else turnover_cents end) as bigint)
        as turnover_returned_cents
from events
group by month, reason, is_own_fault, value_tier, category
