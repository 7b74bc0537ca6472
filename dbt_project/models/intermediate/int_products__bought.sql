-- What each customer bought when, and for how much apiece; nothing without the feed order_lines.
with lines as (
    select
        coalesce(merged.person_key, orders.customer_key) as customer_key,
        bought.product_id,
        orders.ordered_on as purchase_date,
        bought.quantity,
        bought.amount_cents
    from {{ ref('stg_order_lines') }} as bought
    inner join {{ ref('stg_orders') }} as orders on bought.order_id = orders.order_id
    left join {{ ref('int_customers__merged') }} as merged
        on orders.customer_key = merged.customer_key
),

daily as (
    select
        customer_key,
        product_id,
        purchase_date,
        cast(sum(quantity) as bigint) as quantity,
        cast(
            round(sum(amount_cents) * 1.0 / nullif(sum(quantity), 0), 2) as decimal(18, 2)
        ) as unit_price_cents
    from lines
    group by customer_key, product_id, purchase_date
)

select
    customer_key,
    product_id,
    purchase_date,
    quantity,
    unit_price_cents,
    -- the dearer of the last two: the end of a discount is no rise
    cast(max(unit_price_cents) over (
        partition by customer_key, product_id
        order by purchase_date rows between 2 preceding and 1 preceding
    ) as decimal(18, 2)) as usual_price_cents,
    lead(purchase_date) over (
        partition by customer_key, product_id order by purchase_date
    ) as next_purchase_date
from daily
