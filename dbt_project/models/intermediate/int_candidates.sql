-- Everybody who lapsed, whatever will speak against writing to them: the step select needs the
-- excluded and the holdout too. A lapse is named by what happened last, not by when we looked.
with lapsed as (
    select
        states.customer_key,
        states.state,
        states.as_of,
        case states.state when 'cancelled' then 'cancellation' else 'last_purchase' end as occasion,
        case states.state
            when 'cancelled' then {{ days_after('states.state_since', -1) }}
            else states.last_purchase_date
        end as occasion_date,
        states.days_since_last_purchase,
        rhythm.last_ordered_at,
        customers.value_tier,
        customers.segment_before,
        customers.turnover_cents
    from {{ ref('fct_customer_states') }} as states
    inner join {{ ref('int_customers__rhythm') }} as rhythm
        on states.customer_key = rhythm.customer_key
    inner join {{ ref('dim_customers') }} as customers
        on states.customer_key = customers.customer_key
    where states.is_lapsed
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
