{{ config(indexes=[{'columns': ['customer_key']}]) }}

with rules as (
    select
        *,
        count(*) over (partition by kind, rule) as n_conditions,
        -- counted by number, as several million may meet one condition, and few all
        dense_rank() over (order by kind, rule) as rule_number
    from {{ source('ops', 'customer_rule') }}
),

met as (
    select
        facts.customer_key,
        rules.rule_number
    from rules
    inner join {{ ref('int_customers__facts') }} as facts
        on
            rules.fact = facts.fact
            and (rules.at_least is null or rules.at_least <= facts.amount)
            and (rules.below is null or rules.below > facts.amount)
    group by facts.customer_key, rules.rule_number, rules.n_conditions
    having count(*) = rules.n_conditions
),

named as (
    select distinct
        rule_number,
        kind,
        rule,
        because
    from rules
    where customer_key is null
)

select
    met.customer_key,
    {{ as_of() }} as as_of,
    named.kind,
    named.rule,
    named.because
from met
inner join named on met.rule_number = named.rule_number
union all
select
    customers.customer_key,
    {{ as_of() }} as as_of,
    rules.kind,
    rules.rule,
    rules.because
from rules
inner join {{ ref('dim_customers') }} as customers on rules.customer_key = customers.customer_key
