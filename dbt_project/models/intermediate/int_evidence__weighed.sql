-- What counts as evidence for a loss: what was known of the last months before the silence and
-- since, until they were back. It counts in full from the last purchase on; earlier, every usual gap
-- in which they went on buying halves it, as it does what is concluded from the time when they were
-- long overdue. What ceased to be offered then is no reason any more.
with evidence as (
    select
        customer_key,
        reason,
        said_in as evidence_kind,
        source_id,
        cast(null as {{ dbt.type_string() }}) as product_id,
        stated_on as happened_on
    from {{ ref('int_reasons__stated') }}
    where reason <> 'unknown'
    union all
    select
        customer_key,
        reason,
        evidence_kind,
        source_id,
        product_id,
        happened_on
    from {{ ref('int_reasons__inferred') }}
),

losses as (
    select
        *,
        -- without a purchase from the day that ended the contract
        coalesce(last_purchase_date, {{ days_after('lost_on', -1) }}) as counted_from
    from {{ ref('int_losses__dated') }}
),

placed as (
    select
        losses.customer_key,
        losses.lost_on,
        evidence.reason,
        evidence.evidence_kind,
        evidence.source_id,
        evidence.product_id,
        evidence.happened_on,
        kinds.is_stated,
        kinds.weight,
        coalesce(losses.expected_days, {{ var('inactive_days') }}) as expected_days,
        greatest(
            {{ dbt.datediff("evidence.happened_on", "losses.counted_from", "day") }}, 0
        ) as days_before,
        greatest(
            {{ dbt.datediff("losses.counted_from", "evidence.happened_on", "day") }}
            - coalesce(losses.late_days, {{ var('inactive_days') }}), 0
        ) as days_overdue
    from losses
    inner join evidence
        on
            losses.customer_key = evidence.customer_key
            and evidence.happened_on
            >= {{ days_after('losses.counted_from', '-' ~ var('evidence_days')) }}
            and evidence.happened_on < coalesce(losses.returned_on, {{ as_of() }})
    inner join {{ ref('int_evidence__described') }} as kinds
        on evidence.evidence_kind = kinds.evidence_kind
)

select
    customer_key,
    lost_on,
    reason,
    evidence_kind,
    source_id,
    product_id,
    happened_on,
    is_stated,
    cast(
        weight * power(
            cast(0.5 as {{ dbt.type_float() }}),
            (days_before + case when is_stated then 0 else days_overdue end)
            / greatest(expected_days, 1)
        ) as decimal(6, 3)
    ) as weight
from placed
where evidence_kind <> 'favourite_discontinued' or days_overdue = 0
