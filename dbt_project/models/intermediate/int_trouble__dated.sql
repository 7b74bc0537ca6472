-- Trouble that a customer had, and until when it counts: an open complaint, a bad review, a delivery
-- that failed.
with trouble as (
    select
        customer_key,
        'complaint' as kind,
        complaint_id as source_id,
        reason,
        {{ business_date('opened_at') }} as since,
        {{ business_date('resolved_at') }} as until
    from {{ ref('stg_complaints') }}
    union all
    select
        customer_key,
        'bad_review' as kind,
        review_id as source_id,
        'unknown' as reason,
        {{ business_date('reviewed_at') }} as since,
        cast(null as date) as until
    from {{ ref('stg_reviews') }}
    where rating <= 2
    union all
    select
        customer_key,
        'failed_delivery' as kind,
        delivery_id as source_id,
        'delivery' as reason,
        {{ business_date('failed_at') }} as since,
        {{ business_date('delivered_at') }} as until
    from {{ ref('stg_deliveries') }}
    where failed_at is not null
),

forgotten as (
    select
        *,
        {{ days_after('since', "case kind when 'complaint' then " ~ var('complaint_days')
            ~ " when 'bad_review' then " ~ var('bad_review_days')
            ~ " else " ~ var('failed_delivery_days') ~ " end") }} as forgotten_on
    from trouble
)

select
    coalesce(merged.person_key, forgotten.customer_key) as customer_key,
    forgotten.kind,
    forgotten.source_id,
    forgotten.reason,
    forgotten.since,
    forgotten.until is not null as is_resolved,
    least(forgotten.until, forgotten.forgotten_on) as until
from forgotten
left join {{ ref('int_customers__merged') }} as merged
    on forgotten.customer_key = merged.customer_key
