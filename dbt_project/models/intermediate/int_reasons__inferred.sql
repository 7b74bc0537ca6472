-- Facts from which a reason for leaving can be concluded, whether or not anybody left. How much they
-- say: int_evidence__described; which of them count for a loss: int_evidence__weighed.
with facts as (
    select
        customer_key,
        reason,
        'complaint' as evidence_kind,
        complaint_id as source_id,
        product_id,
        {{ business_date('opened_at') }} as happened_on
    from {{ ref('stg_complaints') }}
    union all
    select
        customer_key,
        reason,
        'return' as evidence_kind,
        return_id as source_id,
        product_id,
        returned_on as happened_on
    from {{ ref('stg_returns') }}
    union all
    select
        customer_key,
        case when product_id is null then 'service_quality' else 'product_quality' end as reason,
        'bad_review' as evidence_kind,
        review_id as source_id,
        product_id,
        {{ business_date('reviewed_at') }} as happened_on
    from {{ ref('stg_reviews') }}
    where rating <= 2
    union all
    select
        customer_key,
        'service_quality' as reason,
        'low_score' as evidence_kind,
        answer_id as source_id,
        cast(null as {{ dbt.type_string() }}) as product_id,
        {{ business_date('answered_at') }} as happened_on
    from {{ ref('stg_survey_answers') }}
    where
        (question = 'nps' and score <= {{ var('low_nps_score') }})
        or (question = 'csat' and score <= {{ var('low_csat_score') }})
    union all
    select
        customer_key,
        'delivery' as reason,
        evidence_kind,
        delivery_id as source_id,
        cast(null as {{ dbt.type_string() }}) as product_id,
        happened_on
    from {{ ref('int_deliveries__troubled') }}
    union all
    select
        customer_key,
        case evidence_kind when 'favourite_discontinued' then 'assortment' else 'price' end as reason,
        evidence_kind,
        -- a product has no row that tells it: it is named with the day
        {{ dbt.concat(
            ["product_id", "' on '", "cast(happened_on as " ~ dbt.type_string() ~ ")"]
        ) }} as source_id,
        product_id,
        happened_on
    from {{ ref('int_products__changed') }}
    union all
    select
        customer_key,
        'contact_person' as reason,
        'appointment_cancelled' as evidence_kind,
        appointment_id as source_id,
        cast(null as {{ dbt.type_string() }}) as product_id,
        {{ business_date('cancelled_at') }} as happened_on
    from {{ ref('stg_appointments') }}
    where cancelled_by = 'company'
    union all
    select
        customer_key,
        'moved' as reason,
        'address_corrected' as evidence_kind,
        contact_id as source_id,
        cast(null as {{ dbt.type_string() }}) as product_id,
        {{ business_date('contacted_at') }} as happened_on
    from {{ ref('stg_contacts') }}
    where outcome = 'address_corrected'
)

select
    coalesce(merged.person_key, facts.customer_key) as customer_key,
    facts.reason,
    facts.evidence_kind,
    facts.source_id,
    facts.product_id,
    kinds.weight,
    facts.happened_on
from facts
inner join {{ ref('int_evidence__described') }} as kinds on facts.evidence_kind = kinds.evidence_kind
left join {{ ref('int_customers__merged') }} as merged on facts.customer_key = merged.customer_key
where facts.reason <> 'unknown'
