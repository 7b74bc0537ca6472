-- Whose purchases, record or identity is not as it was at the last build: with every record of
-- theirs, and with whom an order belonged to before.
{{ config(**whom_it_concerns()) }}

{% set former_orders = built('fct_orders') %}
with orders as (
    select
        order_id,
        customer_key
    from {{ ref('stg_orders__changed') }}
),

changed as (
    select customer_key from orders
    union all
    select customer_key from {{ ref('stg_customers__changed') }}
    {% if former_orders %}
        union all
        select former.customer_key
        from {{ former_orders }} as former
        inner join orders on former.order_id = orders.order_id
    {% endif %}
    {% for column in ['customer_key', 'winner_key'] %}
        union all
        select {{ column }} as customer_key
        from {{ source('ops', 'customer_merge') }}
        where {{ is_merged_since() }}
    {% endfor %}
),

people as (
    select coalesce(merged.person_key, changed.customer_key) as person_key
    from changed
    left join {{ ref('int_customers__merged') }} as merged
        on changed.customer_key = merged.customer_key
)

select customer_key from changed
union
select person_key as customer_key from people
union
select merged.customer_key
from people
inner join {{ ref('int_customers__merged') }} as merged on people.person_key = merged.person_key
{{ and_of_failed_builds() }}
