-- What the lost had bought most often, by product and by category, each told by itself. Most often
-- is on most days, then in the largest quantity. A view, as a category may be corrected later.
{{ config(materialized='view') }}

with bought as (
    select
        losses.customer_key,
        losses.lost_on,
        bought.product_id,
        products.category,
        count(*) as n_purchases,
        sum(bought.quantity) as quantity
    from {{ ref('int_losses__dated') }} as losses
    inner join {{ ref('int_products__bought') }} as bought
        on
            losses.customer_key = bought.customer_key
            and losses.last_purchase_date >= bought.purchase_date
    left join {{ ref('stg_products') }} as products on bought.product_id = products.product_id
    where losses.is_lapsed
    group by losses.customer_key, losses.lost_on, bought.product_id, products.category
),

products as (
    select
        *,
        row_number() over (
            partition by customer_key, lost_on
            order by n_purchases desc, quantity desc, product_id asc
        ) as nth
    from bought
),

categories as (
    select
        customer_key,
        lost_on,
        category,
        row_number() over (
            partition by customer_key, lost_on
            order by sum(n_purchases) desc, sum(quantity) desc, category asc
        ) as nth
    from bought
    where category is not null
    group by customer_key, lost_on, category
)

select
    products.customer_key,
    products.lost_on,
    products.product_id,
    categories.category
from products
left join categories
    on
        products.customer_key = categories.customer_key
        and products.lost_on = categories.lost_on
        and categories.nth = 1
where products.nth = 1
