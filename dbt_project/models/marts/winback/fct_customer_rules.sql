with rules as (
    select
        *,
        count(*) over (partition by kind, rule) as n_conditions
    from {{ source('ops', 'customer_rule') }}
),

met as (
    select
        facts.customer_key,
        rules.kind,
        rules.rule,
        rules.because
    from rules
    inner join {{ ref('int_customers__facts') }} as facts
        on
            rules.fact = facts.fact
            and (rules.at_least is null or rules.at_least <= facts.amount)
            and (rules.below is null or rules.below > facts.amount)
    group by facts.customer_key, rules.kind, rules.rule, rules.because, rules.n_conditions
    having count(*) = rules.n_conditions
    union all
    select
        customers.customer_key,
        rules.kind,
        rules.rule,
        rules.because
    from rules
    inner join {{ ref('dim_customers') }} as customers
        on rules.customer_key = customers.customer_key
)

select
    customer_key,
    {{ as_of() }} as as_of,
    kind,
    rule,
    because
from met
