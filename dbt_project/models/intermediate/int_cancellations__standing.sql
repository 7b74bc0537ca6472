-- Cancellations, and until when they stand: revoked, followed by a new contract or by a purchase.
-- Whoever keeps another contract is still a customer.
with contracts as (
    select
        coalesce(merged.person_key, contracts.customer_key) as customer_key,
        contracts.contract_id,
        contracts.cancellation_reason,
        contracts.ends_at,
        contracts.cancelled_at,
        contracts.revoked_at,
        {{ business_date('contracts.started_at') }} as started_on,
        {{ business_date('contracts.cancelled_at') }} as cancelled_on
    from {{ ref('stg_contracts') }} as contracts
    left join {{ ref('int_customers__merged') }} as merged
        on contracts.customer_key = merged.customer_key
),

cancelled as (
    select * from contracts where cancelled_at is not null
),

endings as (
    select
        cancelled.contract_id,
        min(others.started_on) as on_date
    from cancelled
    inner join contracts as others
        on cancelled.customer_key = others.customer_key
    where others.started_on > cancelled.cancelled_on
    group by cancelled.contract_id
    union all
    select
        cancelled.contract_id,
        min(purchases.purchase_date) as on_date
    from cancelled
    inner join {{ ref('int_orders__daily') }} as purchases
        on cancelled.customer_key = purchases.customer_key
    where purchases.purchase_date > cancelled.cancelled_on
    group by cancelled.contract_id
    union all
    select
        contract_id,
        {{ business_date('revoked_at') }} as on_date
    from cancelled
),

ended as (
    select
        contract_id,
        min(on_date) as on_date
    from endings
    group by contract_id
)

select
    cancelled.customer_key,
    cancelled.contract_id,
    cancelled.cancellation_reason,
    cancelled.cancelled_on,
    {{ business_date('cancelled.ends_at') }} as ends_on,
    ended.on_date as until
from cancelled
left join ended on cancelled.contract_id = ended.contract_id
where
    not exists (
        select 1
        from contracts as others
        where
            cancelled.customer_key = others.customer_key
            and cancelled.cancelled_on > others.started_on
            and others.cancelled_at is null
            and (others.ends_at is null or cancelled.cancelled_at < others.ends_at)
    )
