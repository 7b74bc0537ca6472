-- What the customer rules may ask about a customer, one fact a row. A fact that no feed tells is
-- not there, and a condition on it holds for nobody.
{{ config(materialized='view') }}

with facts as (
    {% for fact in ['n_orders', 'n_purchases'] %}
        select
            customer_key,
            '{{ fact }}' as fact,
            cast({{ fact }} as decimal(24, 4)) as amount
        from {{ ref('int_customers__unscored') }}
        where n_orders > 0
        union all
    {% endfor %}
    select
        customer_key,
        'turnover_cents' as fact,
        cast(turnover_cents as decimal(24, 4)) as amount
    from {{ ref('dim_customers') }}
    where n_orders > 0
    union all
    select
        customer_key,
        'was_champion' as fact,
        cast(case segment_before when 'champion' then 1 else 0 end as decimal(24, 4)) as amount
    from {{ ref('dim_customers') }}
    where segment_before is not null
    union all
    select
        returned.customer_key,
        'returned_pct' as fact,
        cast(round(
            100.0 * returned.amount_cents / nullif(bought.paid_cents, 0), 4
        ) as decimal(24, 4)) as amount
    from {{ ref('int_customers__repaid') }} as returned
    inner join {{ ref('int_customers__unscored') }} as bought
        on returned.customer_key = bought.customer_key
    union all
    select
        bought.customer_key,
        'margin_cents' as fact,
        cast(bought.margin_cents - coalesce(returned.amount_cents, 0) as decimal(24, 4)) as amount
    from {{ ref('int_customers__unscored') }} as bought
    left join {{ ref('int_customers__repaid') }} as returned
        on bought.customer_key = returned.customer_key
    union all
    select
        customer_key,
        fact,
        amount
    from {{ ref('int_customers__counted') }}
)

select
    customer_key,
    fact,
    amount
from facts
where
    amount is not null
    -- as an array it is known before a table is read
    and fact = any(array(select rules.fact from {{ source('ops', 'customer_rule') }} as rules))
