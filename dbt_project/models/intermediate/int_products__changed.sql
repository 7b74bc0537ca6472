-- What became dearer, or ceased to be offered, for those who kept buying it.
with discontinued as (
    select
        product_id,
        {{ business_date('discontinued_at') }} as discontinued_on
    from {{ ref('stg_products') }}
    where discontinued_at is not null
),

-- what they bought in the year before the end of one of these products
compared as (
    select
        bought.customer_key,
        discontinued.product_id,
        discontinued.discontinued_on,
        others.product_id as other_product_id,
        count(distinct others.purchase_date) as n_purchases
    from discontinued
    inner join (select distinct customer_key, product_id from {{ ref('int_products__bought') }}) as bought
        on discontinued.product_id = bought.product_id
    inner join {{ ref('int_products__bought') }} as others
        on bought.customer_key = others.customer_key
    left join discontinued as ended on others.product_id = ended.product_id
    where
        others.purchase_date <= discontinued.discontinued_on
        and others.purchase_date > {{ days_after('discontinued.discontinued_on', -365) }}
        and (ended.discontinued_on is null or ended.discontinued_on >= discontinued.discontinued_on)
    group by
        bought.customer_key, discontinued.product_id, discontinued.discontinued_on, others.product_id
),

ranked as (
    select
        *,
        max(n_purchases) over (partition by customer_key, product_id) as most
    from compared
)

select
    customer_key,
    'favourite_discontinued' as evidence_kind,
    product_id,
    discontinued_on as happened_on
from ranked
where product_id = other_product_id and n_purchases = most and n_purchases >= 2
union all
select
    customer_key,
    'price_rise' as evidence_kind,
    product_id,
    purchase_date as happened_on
from {{ ref('int_products__bought') }}
where unit_price_cents >= {{ var('price_rise_factor') }} * usual_price_cents
union all
select
    bought.customer_key,
    'price_now_higher' as evidence_kind,
    bought.product_id,
    {{ days_after(as_of(), -1) }} as happened_on
from {{ ref('int_products__bought') }} as bought
inner join {{ ref('stg_products') }} as products on bought.product_id = products.product_id
where
    bought.next_purchase_date is null
    and bought.usual_price_cents is not null
    and products.discontinued_at is null
    and products.price_cents >= {{ var('price_rise_factor') }} * bought.unit_price_cents
