-- What contracts brought and will bring, of customers who never bought: of all others purchases
-- tell, and their fees may be among the orders. A fee is earned day by day.
{% set month_days = 30.4375 %}
with contracts as (
    select
        coalesce(merged.person_key, contracts.customer_key) as customer_key,
        contracts.contract_id,
        contracts.amount_cents,
        {{ business_date('contracts.started_at') }} as started_on,
        {{ contract_end('contracts') }} as ended_on
    from {{ ref('stg_contracts') }} as contracts
    left join {{ ref('int_customers__merged') }} as merged
        on contracts.customer_key = merged.customer_key
),

lasting as (
    select
        *,
        coalesce(ended_on >= {{ as_of() }}, true) as is_running,
        greatest({{ dbt.datediff(
            "started_on", "least(coalesce(ended_on, " ~ as_of() ~ "), " ~ as_of() ~ ")", "day"
        ) }}, 0) / {{ month_days }} as months_run,
        case
            when ended_on < {{ as_of() }} then 0
            else least(
                coalesce({{ dbt.datediff(as_of(), "ended_on", "day") }} / {{ month_days }}, 1e6),
                {{ var('value_months') }}
            )
        end as months_left,
        row_number() over (
            partition by customer_key
            order by coalesce(ended_on, cast('9999-12-31' as date)) desc, started_on desc, contract_id
        ) as nth_newest
    from contracts
),

-- by which a fee is worth less a month later: because of interest, and because of those who leave
rates as (
    select
        power(1 + {{ var('discount_pct') }} / 100.0, -1 / 12.0) as interest,
        power(1 + {{ var('discount_pct') }} / 100.0, -1 / 12.0) * (1 - least(coalesce(
            count(case when not is_running then 1 end) / nullif(sum(months_run), 0), 0
        ), 0.99)) as staying
    from lasting
),

summed as (
    select
        lasting.*,
        sqrt(rates.interest) * case
            when rates.interest = 1 then lasting.months_left
            else (1 - power(rates.interest, lasting.months_left)) / (1 - rates.interest)
        end as months_of_known_end,
        sqrt(rates.staying) * case
            when rates.staying = 1 then {{ var('value_months') }}
            else (1 - power(rates.staying, {{ var('value_months') }})) / (1 - rates.staying)
        end as months_without
    from lasting
    cross join rates
)

select
    summed.customer_key,
    {{ as_of() }} as as_of,
    cast(round(sum(summed.amount_cents * summed.months_run)) as bigint) as turnover_cents,
    cast(round({{ var('usual_margin_pct') }} / 100.0 * sum(
        case
            when not summed.is_running then 0
            when summed.ended_on is null then summed.amount_cents * summed.months_without
            else summed.amount_cents * summed.months_of_known_end
        end
    )) as bigint) as value_cents,
    cast(round({{ var('usual_margin_pct') }} / 100.0 * sum(
        case
            when summed.is_running or summed.nth_newest = 1
                then summed.amount_cents * summed.months_without
        end
    )) as bigint) as value_if_returned_cents
from summed
left join {{ ref('int_customers__rhythm') }} as rhythm
    on summed.customer_key = rhythm.customer_key
where summed.amount_cents is not null and rhythm.customer_key is null
group by summed.customer_key
