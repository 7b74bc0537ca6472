-- Which rules hold for whom. Built beside the timeline, when a connection would have nothing to do.
-- depends_on: {{ ref('int_customers__rhythm') }}
{{ config(indexes=[{'columns': ['customer_key']}]) }}

with written as (
    select
        *,
        count(*) over (partition by kind, rule) as n_conditions,
        -- counted by number, as several million may meet one condition, and few all
        dense_rank() over (order by kind, rule) as rule_number,
        customer_key is not null or exists (
            select 1 from {{ ref('int_customers__facts') }} as facts
            where facts.fact = customer_rule.fact
        ) as is_known
    from {{ source('ops', 'customer_rule') }} as customer_rule
),

-- without those that ask for what is known of nobody, since a feed is not connected
rules as (
    select *
    from written
    where not exists (
        select 1 from written as other
        where other.rule_number = written.rule_number and not other.is_known
    )
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
    -- as an array it is known before a table is read
    where facts.fact = any(array(select asked.fact from rules as asked))
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
