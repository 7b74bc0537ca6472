-- What each day's purchase tells beside its amount: how much was new to the customer, how often they
-- had bought the favourite so far, and what was more, cheaper or dearer than usual. Running sums of it
-- tell what was known on any date. Nothing without the feed order_lines.
{{ config(materialized='view') }}

with bought as (
    select
        *,
        row_number() over (partition by customer_key, product_id order by purchase_date) as times_bought,
        -- against the geometric mean of the same product so far: what counts as one differs
        ln(nullif(quantity, 0)) - avg(ln(nullif(quantity, 0))) over (
            partition by customer_key, product_id
            order by purchase_date rows between unbounded preceding and 1 preceding
        ) as log_quantity_ratio
    from {{ ref('int_products__bought') }}
),

products as (
    select
        product_id,
        category,
        {{ business_date('discontinued_at') }} as discontinued_on
    from {{ ref('stg_products') }}
),

-- the day's product that was bought most often so far stands first
ordered as (
    select
        bought.*,
        products.discontinued_on,
        row_number() over (
            partition by bought.customer_key, bought.purchase_date
            order by bought.times_bought desc, bought.product_id
        ) as nth
    from bought
    left join products on bought.product_id = products.product_id
),

daily as (
    select
        customer_key,
        purchase_date,
        count(*) as n_products,
        count(*) filter (where times_bought = 1) as n_new_products,
        max(times_bought) as times_favourite,
        max(case when nth = 1 then discontinued_on end) as favourite_discontinued_on,
        coalesce(avg(log_quantity_ratio), 0) as log_quantity_ratio,
        count(usual_price_cents) as n_compared,
        count(*) filter (
            where unit_price_cents * {{ var('price_rise_factor') }} <= usual_price_cents
        ) as n_cheaper,
        count(*) filter (
            where unit_price_cents >= {{ var('price_rise_factor') }} * usual_price_cents
        ) as n_dearer
    from ordered
    group by customer_key, purchase_date
),

categories as (
    select
        bought.customer_key,
        products.category,
        bought.purchase_date,
        row_number() over (
            partition by bought.customer_key, products.category order by bought.purchase_date
        ) as times_bought
    from bought
    inner join products on bought.product_id = products.product_id
    where products.category is not null
    group by bought.customer_key, products.category, bought.purchase_date
),

daily_categories as (
    select
        customer_key,
        purchase_date,
        count(*) filter (where times_bought = 1) as n_new_categories,
        max(times_bought) as times_favourite_category
    from categories
    group by customer_key, purchase_date
)

select
    daily.customer_key,
    daily.purchase_date,
    daily.n_products,
    daily.n_new_products,
    daily.times_favourite,
    daily.favourite_discontinued_on,
    coalesce(daily_categories.n_new_categories, 0) as n_new_categories,
    coalesce(daily_categories.times_favourite_category, 0) as times_favourite_category,
    cast(daily.log_quantity_ratio as decimal(12, 6)) as log_quantity_ratio,
    daily.n_compared,
    daily.n_cheaper,
    daily.n_dearer
from daily
left join daily_categories
    on
        daily.customer_key = daily_categories.customer_key
        and daily.purchase_date = daily_categories.purchase_date
