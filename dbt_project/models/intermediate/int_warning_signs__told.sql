-- Facts that are signs by themselves or when they repeat themselves: what customers said, what
-- happened to them, what they called off. Until when they count: int_warning_signs__dated.
with facts as (
    select
        customer_key,
        'open_complaints' as sign,
        {{ business_date('opened_at') }} as happened_on
    from {{ ref('stg_complaints') }}
    where resolved_at is null
    union all
    select
        customer_key,
        'repeated_complaints' as sign,
        {{ business_date('opened_at') }} as happened_on
    from {{ ref('stg_complaints') }}
    union all
    select
        customer_key,
        case evidence_kind
            when 'bad_review' then 'bad_reviews'
            when 'low_score' then 'low_satisfaction'
            when 'appointment_cancelled' then 'contact_person'
            else 'delivery_trouble'
        end as sign,
        happened_on
    from {{ ref('int_reasons__inferred') }}
    where
        evidence_kind in (
            'bad_review', 'low_score', 'appointment_cancelled', 'late_delivery',
            'delivery_again', 'failed_delivery'
        )
    union all
    select
        customer_key,
        'contact_person' as sign,
        {{ business_date('opened_at') }} as happened_on
    from {{ ref('stg_complaints') }}
    where reason = 'contact_person'
    union all
    select
        customer_key,
        case reason when 'contact_person' then 'contact_person' else 'stated_reason' end as sign,
        stated_on as happened_on
    from {{ ref('int_reasons__stated') }}
    where reason not in ('unknown', 'moved', 'household', 'abroad', 'stocked_up')
    union all
    select
        customer_key,
        'cancelled_appointments' as sign,
        {{ business_date('cancelled_at') }} as happened_on
    from {{ ref('stg_appointments') }}
    where cancelled_by = 'customer'
    union all
    select
        carts.customer_key,
        'abandoned_checkouts' as sign,
        {{ business_date('carts.checkout_at') }} as happened_on
    from {{ ref('stg_carts') }} as carts
    where
        carts.checkout_at is not null
        and carts.ordered_at is null
        and not exists (
            select 1
            from {{ ref('stg_orders') }} as orders
            where
                carts.customer_key = orders.customer_key
                and carts.checkout_at <= orders.ordered_at
        )
)

select
    coalesce(merged.person_key, facts.customer_key) as customer_key,
    facts.sign,
    facts.happened_on
from facts
left join {{ ref('int_customers__merged') }} as merged on facts.customer_key = merged.customer_key
