-- Whose purchases, record or identity is not as it was at the last build: with every record of
-- theirs, and with whom an order belonged to before. What they bought before `changed_from` stands,
-- and so does what follows from it.
{{ config(**whom_it_concerns()) }}

{% set former_orders = built('fct_orders') %}
with reassigned as (
    select customer_key from {{ ref('stg_customers__changed') }}
    {% for column in ['customer_key', 'winner_key'] %}
        union all
        select {{ column }} as customer_key
        from {{ source('ops', 'customer_merge') }}
        where {{ is_merged_since() }}
    {% endfor %}
),

changed as (
    select
        customer_key,
        ordered_on as changed_from
    from {{ ref('int_orders__touched') }}
    {% if former_orders %}
        union all
        select
            former.customer_key,
            former.ordered_on as changed_from
        from {{ former_orders }} as former
        inner join {{ ref('int_orders__touched') }} as orders
            on former.order_id = orders.order_id
    {% endif %}
    union all
    select
        customer_key,
        cast('0001-01-01' as date) as changed_from
    from reassigned
),

people as (
    select
        coalesce(merged.person_key, changed.customer_key) as person_key,
        changed.changed_from
    from changed
    left join {{ ref('int_customers__merged') }} as merged
        on changed.customer_key = merged.customer_key
),

concerned as (
    select
        customer_key,
        changed_from
    from changed
    union all
    select
        person_key as customer_key,
        changed_from
    from people
    union all
    select
        merged.customer_key,
        people.changed_from
    from people
    inner join {{ ref('int_customers__merged') }} as merged
        on people.person_key = merged.person_key
    {{ and_of_failed_builds(['customer_key', 'changed_from']) }}
)

select
    customer_key,
    min(changed_from) as changed_from
from concerned
group by customer_key
