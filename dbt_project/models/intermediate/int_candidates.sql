-- Everybody who lapsed, whatever will speak against writing to them: the step select needs the
-- excluded and the holdout too. A lapse is named by what happened last, not by when we looked.
{{ config(materialized='view') }}

with lapsed as (
    select
        standing.customer_key,
        standing.state,
        dated.as_of,
        case standing.state when 'cancelled' then 'cancellation' else 'last_purchase' end as occasion,
        case standing.state
            when 'cancelled' then {{ days_after('standing.state_since', -1) }}
            else standing.last_purchase_date
        end as occasion_date,
        {{ dbt.datediff("standing.last_purchase_date", "dated.as_of", "day") }}
            as days_since_last_purchase,
        standing.last_ordered_at,
        customers.value_tier,
        customers.segment_before,
        customers.turnover_cents
    from {{ ref('int_customers__standing') }} as standing
    cross join {{ ref('int_states__dated') }} as dated
    inner join {{ ref('dim_customers') }} as customers
        on standing.customer_key = customers.customer_key
    -- who never bought has left nothing that says what they are worth
    where standing.is_lapsed and standing.last_purchase_date is not null
)

select
    {{ dbt.hash(dbt.concat(
        ["customer_key", "'|'", "occasion", "'|'", "cast(occasion_date as " ~ dbt.type_string() ~ ")"]
    )) }} as lapse_id,
    customer_key,
    as_of,
    occasion,
    occasion_date,
    last_ordered_at,
    days_since_last_purchase,
    state,
    value_tier,
    segment_before,
    turnover_cents
from lapsed
