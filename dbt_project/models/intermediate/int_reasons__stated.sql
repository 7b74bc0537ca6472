-- What customers said themselves, whoever they said it to. One statement, one row.
with statements as (
    select
        customer_key,
        'survey' as said_in,
        answer_id as source_id,
        reason,
        {{ business_date('answered_at') }} as stated_on,
        cast(null as date) as absent_until
    from {{ ref('stg_survey_answers') }}
    union all
    select
        customer_key,
        'cancellation' as said_in,
        contract_id as source_id,
        cancellation_reason as reason,
        {{ business_date('cancelled_at') }} as stated_on,
        cast(null as date) as absent_until
    from {{ ref('stg_contracts') }}
    where cancelled_at is not null
    union all
    select
        customer_key,
        'conversation' as said_in,
        contact_id as source_id,
        case when absent_until is null then reason else 'abroad' end as reason,
        {{ business_date('contacted_at') }} as stated_on,
        {{ business_date('absent_until') }} as absent_until
    from {{ ref('stg_contacts') }}
)

select
    coalesce(merged.person_key, statements.customer_key) as customer_key,
    statements.said_in,
    statements.source_id,
    statements.reason,
    statements.stated_on,
    statements.absent_until
from statements
left join {{ ref('int_customers__merged') }} as merged
    on statements.customer_key = merged.customer_key
where statements.reason is not null
