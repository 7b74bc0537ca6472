-- With whom each of the lower four fifths ends, in each of the three orders of all who ever bought:
-- whoever comes behind that customer has a higher score. Where the count does not divide, the lower
-- fifths are the larger ones. Twelve are looked for among all, so nobody is sorted who need not be:
-- customers are counted in steps that follow each other in the order of the score, and ordered only
-- within the steps in which a fifth ends.
{{ config(post_hook="analyze {{ this }}") }}

{#- a step is half a percent of turnover wide; below zero is one as well -#}
{% set customers -%}
    (
        select
            last_purchase_date,
            n_purchases,
            turnover_cents,
            customer_key,
            floor(200 * ln(1 + cast(greatest(turnover_cents, 0) as {{ dbt.type_float() }})))
                as turnover_step
        from {{ ref('int_customers__unscored') }}
        where n_purchases > 0
    ) as customers
{%- endset %}
{% set place_in_step -%}
    fifth.nth * (summed.n_customers - mod(summed.n_customers, 5)) / 5
    + least(fifth.nth, mod(summed.n_customers, 5)) - summed.n_until + summed.n
{%- endset %}
with steps as (
    select
        case
            when grouping(last_purchase_date) = 0 then 'recency'
            when grouping(n_purchases) = 0 then 'frequency'
            else 'monetary'
        end as score,
        last_purchase_date,
        n_purchases,
        turnover_step,
        count(*) as n
    from {{ customers }}
    group by grouping sets (
        (last_purchase_date), (n_purchases, turnover_step), (turnover_step)
    )
),

summed as (
    select
        *,
        sum(n) over (partition by score) as n_customers,
        sum(n) over (
            partition by score order by last_purchase_date, n_purchases, turnover_step
        ) as n_until
    from steps
),

ends as (
    select
        summed.*,
        fifth.nth,
        {{ place_in_step }} as place_in_step
    from summed
    inner join (values (1), (2), (3), (4)) as fifth (nth)
        on {{ place_in_step }} between 1 and summed.n
),

near as (
    select *
    from {{ customers }}
    where
        last_purchase_date in (select ends.last_purchase_date from ends)
        or turnover_step in (select ends.turnover_step from ends)
),

placed as (
    select
        ends.*,
        case when ends.score <> 'recency' then near.turnover_cents end as turnover_cents,
        near.customer_key,
        row_number() over (
            partition by ends.score, ends.nth
            order by
                case when ends.score <> 'recency' then near.turnover_cents end,
                near.customer_key
        ) as place
    from ends
    inner join near
        on
            coalesce(ends.last_purchase_date = near.last_purchase_date, true)
            and coalesce(ends.n_purchases = near.n_purchases, true)
            and coalesce(ends.turnover_step = near.turnover_step, true)
)

select
    score,
    nth,
    last_purchase_date,
    n_purchases,
    turnover_cents,
    customer_key
from placed
where place = place_in_step
