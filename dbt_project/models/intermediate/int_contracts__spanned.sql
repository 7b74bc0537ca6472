-- Who is a customer by a contract, and when none of their contracts runs: as spans of as-of dates.
-- A contract runs until its end, or until it was cancelled where no end is known. One that begins
-- the day after another ended leaves no gap.
{% set never = "cast('9999-12-31' as date)" %}
with contracts as (
    select
        coalesce(merged.person_key, contracts.customer_key) as customer_key,
        contracts.contract_id,
        {{ business_date('contracts.started_at') }} as started_on,
        {{ contract_end('contracts') }} as ended_on
    from {{ ref('stg_contracts') }} as contracts
    left join {{ ref('int_customers__merged') }} as merged
        on contracts.customer_key = merged.customer_key
),

ordered as (
    select
        customer_key,
        min(started_on) over (partition by customer_key) as first_started_on,
        lead(started_on) over in_order as next_started_on,
        max(coalesce(ended_on, {{ never }})) over (
            partition by customer_key
            order by started_on, contract_id
            rows between unbounded preceding and current row
        ) as runs_until
    from contracts
    window in_order as (partition by customer_key order by started_on, contract_id)
),

gaps as (
    select
        customer_key,
        {{ days_after('runs_until', 1) }} as from_date,
        {{ days_after('next_started_on', 1) }} as until_date
    from ordered
    where
        runs_until < {{ never }}
        and (next_started_on is null or {{ days_after('runs_until', 1) }} < next_started_on)
)

select distinct
    customer_key,
    'contracted' as signal,
    {{ days_after('first_started_on', 1) }} as from_date,
    cast(null as date) as until_date
from ordered
union all
select
    customer_key,
    'contract_over' as signal,
    from_date,
    until_date
from gaps
union all
select
    customer_key,
    'contract_long_over' as signal,
    {{ days_after('from_date', var('inactive_days')) }} as from_date,
    until_date
from gaps
