-- Deliveries that came late, failed, or are overdue; one that follows another within 90 days says more.
with deliveries as (
    select
        coalesce(merged.person_key, deliveries.customer_key) as customer_key,
        deliveries.delivery_id,
        deliveries.failed_at is not null as is_failed,
        {{ business_date('coalesce(deliveries.failed_at, deliveries.promised_at)') }} as happened_on,
        {{ business_date('deliveries.delivered_at') }} as delivered_on
    from {{ ref('stg_deliveries') }} as deliveries
    left join {{ ref('int_customers__merged') }} as merged
        on deliveries.customer_key = merged.customer_key
    where
        deliveries.failed_at is not null
        or deliveries.delivered_at > deliveries.promised_at
        or (
            deliveries.delivered_at is null
            and {{ is_known('deliveries.promised_at') }}
            -- where nobody writes down what arrived, nothing is overdue
            and exists (
                select 1 from {{ ref('stg_deliveries') }} as others
                where others.delivered_at is not null
            )
        )
),

followed as (
    select
        *,
        lag(happened_on) over (
            partition by customer_key order by happened_on, delivery_id
        ) as previous_on
    from deliveries
)

select
    customer_key,
    delivery_id,
    happened_on,
    delivered_on,
    case
        when {{ dbt.datediff("previous_on", "happened_on", "day") }} <= 90 then 'delivery_again'
        when is_failed then 'failed_delivery'
        else 'late_delivery'
    end as evidence_kind
from followed
