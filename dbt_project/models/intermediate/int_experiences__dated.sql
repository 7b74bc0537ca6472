-- What happened to customers beside their purchases, and what they told us, each with the day since
-- when it was known and the day on which it was over. For the return model, which looks at dates of
-- the past: nothing here may follow from what came later.
{{ config(materialized='view') }}

with first_arrival as (
    select min({{ business_date('delivered_at') }}) as recorded_on from {{ ref('stg_deliveries') }}
),

experiences as (
    select
        customer_key,
        'complaint' as kind,
        {{ business_date('opened_at') }} as happened_on,
        {{ business_date('resolved_at') }} as over_on,
        cast(null as bigint) as amount_cents
    from {{ ref('stg_complaints') }}
    union all
    select customer_key, 'bad_review', {{ business_date('reviewed_at') }}, null, null
    from {{ ref('stg_reviews') }}
    where rating <= 2
    union all
    select customer_key, 'low_score', {{ business_date('answered_at') }}, null, null
    from {{ ref('stg_survey_answers') }}
    where
        (question = 'nps' and score <= {{ var('low_nps_score') }})
        or (question = 'csat' and score <= {{ var('low_csat_score') }})
    union all
    select customer_key, 'return', returned_on, null, amount_cents
    from {{ ref('stg_returns') }}
    union all
    -- overdue counts as late; where nobody writes down what arrived, nothing is overdue
    select
        deliveries.customer_key,
        'late_delivery',
        greatest({{ business_date('deliveries.promised_at') }}, first_arrival.recorded_on),
        null,
        null
    from {{ ref('stg_deliveries') }} as deliveries
    inner join first_arrival on first_arrival.recorded_on is not null
    where
        deliveries.delivered_at > deliveries.promised_at
        or (deliveries.delivered_at is null and {{ is_known('deliveries.promised_at') }})
    union all
    select customer_key, 'failed_delivery', {{ business_date('failed_at') }}, null, null
    from {{ ref('stg_deliveries') }}
    where failed_at is not null
    union all
    select
        customer_key,
        'contract',
        {{ business_date('started_at') }},
        {{ business_date('least(cancelled_at, ends_at)') }},
        null
    from {{ ref('stg_contracts') }}
    union all
    select
        customer_key,
        'cancellation',
        {{ business_date('cancelled_at') }},
        {{ business_date('revoked_at') }},
        null
    from {{ ref('stg_contracts') }}
    where cancelled_at is not null
)

select
    coalesce(merged.person_key, experiences.customer_key) as customer_key,
    experiences.kind,
    experiences.happened_on,
    experiences.over_on,
    experiences.amount_cents
from experiences
left join {{ ref('int_customers__merged') }} as merged
    on experiences.customer_key = merged.customer_key
union all
select
    stated.customer_key,
    case
        when stated.reason = 'abroad' then 'stated_absence'
        when reasons.is_own_fault then 'stated_own_fault'
        when stated.reason in ('moved', 'household', 'stocked_up', 'changed_needs')
            then 'stated_circumstances'
        else 'stated_other'
    end as kind,
    stated.stated_on as happened_on,
    stated.absent_until as over_on,
    cast(null as bigint) as amount_cents
from {{ ref('int_reasons__stated') }} as stated
inner join {{ ref('int_reasons__described') }} as reasons on stated.reason = reasons.reason
where stated.reason <> 'unknown'
