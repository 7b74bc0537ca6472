-- Who was lost and who came back, month by month, by the main reason. What a loss costs is what
-- the customer paid in the year up to the last purchase, net of returns; who comes back brings the
-- same back.
with losses as (
    select
        losses.customer_key,
        losses.lost_on,
        losses.returned_on,
        losses.last_purchase_date,
        losses.turnover_cents,
        described.reason,
        described.is_own_fault,
        -- who had a contract and never bought
        coalesce(customers.value_tier, 'low') as value_tier
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
    where losses.is_lapsed
),

categories as (
    select
        losses.customer_key,
        losses.lost_on,
        products.category,
        row_number() over (
            partition by losses.customer_key, losses.lost_on
            order by count(*) desc, sum(bought.quantity) desc, products.category
        ) as nth
    from losses
    inner join {{ ref('int_products__bought') }} as bought
        on
            losses.customer_key = bought.customer_key
            and losses.last_purchase_date >= bought.purchase_date
    inner join {{ ref('stg_products') }} as products on bought.product_id = products.product_id
    where products.category is not null
    group by losses.customer_key, losses.lost_on, products.category
),

events as (
    {% for is_loss, on_date in [(true, 'lost_on'), (false, 'returned_on')] %}
        select
            losses.reason,
            losses.is_own_fault,
            losses.value_tier,
            {{ is_loss }} as is_loss,
            losses.turnover_cents,
            coalesce(categories.category, 'not known') as category,
            cast({{ dbt.date_trunc('month', 'losses.' ~ on_date) }} as date) as month  -- noqa: RF04
        from losses
        left join categories
            on
                losses.customer_key = categories.customer_key
                and losses.lost_on = categories.lost_on
                and categories.nth = 1
        where losses.{{ on_date }} is not null
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
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
