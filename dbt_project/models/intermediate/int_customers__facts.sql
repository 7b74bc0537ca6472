-- What the customer rules may ask about a customer, one fact a row. A fact that no feed tells is
-- not there, and a condition on it holds for nobody.
with returned as (
    select
        coalesce(merged.person_key, sent_back.customer_key) as customer_key,
        sum(sent_back.amount_cents) as amount_cents
    from {{ ref('stg_returns') }} as sent_back
    left join {{ ref('int_customers__merged') }} as merged
        on sent_back.customer_key = merged.customer_key
    group by coalesce(merged.person_key, sent_back.customer_key)
),

costs as (
    select
        coalesce(merged.person_key, orders.customer_key) as customer_key,
        sum(orders.amount_cents - orders.cost_cents) as margin_cents,
        count(*) - count(orders.cost_cents) as n_unknown
    from {{ ref('stg_orders') }} as orders
    left join {{ ref('int_customers__merged') }} as merged
        on orders.customer_key = merged.customer_key
    group by coalesce(merged.person_key, orders.customer_key)
),

facts as (
    {% for fact in ['n_orders', 'n_purchases', 'turnover_cents'] %}
        select
            customer_key,
            '{{ fact }}' as fact,
            cast({{ fact }} as decimal(24, 4)) as amount
        from {{ ref('int_customers__rhythm') }}
        union all
    {% endfor %}
    select
        customer_key,
        'was_champion' as fact,
        cast(case segment_before when 'champion' then 1 else 0 end as decimal(24, 4)) as amount
    from {{ ref('int_customers__rfm') }}
    union all
    select
        returned.customer_key,
        'returned_pct' as fact,
        cast(round(
            100.0 * returned.amount_cents / nullif(rhythm.turnover_cents, 0), 4
        ) as decimal(24, 4)) as amount
    from returned
    inner join {{ ref('int_customers__rhythm') }} as rhythm
        on returned.customer_key = rhythm.customer_key
    union all
    select
        costs.customer_key,
        'margin_cents' as fact,
        cast(costs.margin_cents - coalesce(returned.amount_cents, 0) as decimal(24, 4)) as amount
    from costs
    left join returned on costs.customer_key = returned.customer_key
    where costs.n_unknown = 0
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
    and fact in (select rules.fact from {{ source('ops', 'customer_rule') }} as rules)
