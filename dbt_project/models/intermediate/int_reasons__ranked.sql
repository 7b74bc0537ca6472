-- The reasons for each loss of which anything is known, the main one first. Evidence that is weaker
-- than none leaves the main reason unknown, and stands behind it as a hint.
{{ config(post_hook="analyze {{ this }}", indexes=[{'columns': ['customer_key']}]) }}

with summed as (
    select
        customer_key,
        lost_on,
        reason,
        max(case when is_stated then 1 else 0 end) = 1 as is_stated,
        coalesce(sum(case when is_stated then weight end), 0)
        + least(coalesce(sum(case when not is_stated then weight end), 0), 9) as weight,
        count(*) as n_sources,
        max(happened_on) as newest_on
    from {{ ref('int_evidence__weighed') }}
    group by customer_key, lost_on, reason
),

by_kind as (
    select
        customer_key,
        lost_on,
        reason,
        evidence_kind,
        max(weight) as weight,
        {{ joined_text('source_id', ', ', 'happened_on desc') }} as source_ids
    from {{ ref('int_evidence__weighed') }}
    group by customer_key, lost_on, reason, evidence_kind
),

worded as (
    select
        by_kind.customer_key,
        by_kind.lost_on,
        by_kind.reason,
        {{ joined_text(
            dbt.concat(["kinds.in_words", "' ('", "by_kind.source_ids", "')'"]), '; ',
            'by_kind.weight desc'
        ) }} as evidence
    from by_kind
    inner join {{ ref('int_evidence__described') }} as kinds
        on by_kind.evidence_kind = kinds.evidence_kind
    group by by_kind.customer_key, by_kind.lost_on, by_kind.reason
),

reasons as (
    select
        summed.customer_key,
        summed.lost_on,
        summed.reason,
        summed.is_stated,
        summed.weight,
        summed.n_sources,
        summed.newest_on,
        worded.evidence
    from summed
    inner join worded
        on
            summed.customer_key = worded.customer_key
            and summed.lost_on = worded.lost_on
            and summed.reason = worded.reason
    union all
    select distinct
        customer_key,
        lost_on,
        'unknown' as reason,
        false as is_stated,
        {{ var('least_reason_weight') }} as weight,
        0 as n_sources,
        cast(null as date) as newest_on,
        'nothing points to a reason' as evidence
    from summed
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_key, lost_on
            order by weight desc, is_stated desc, newest_on desc, reason
        ) as nth
    from reasons
)

select
    customer_key,
    lost_on,
    reason,
    is_stated,
    cast(weight as decimal(8, 3)) as weight,
    cast(row_number() over (partition by customer_key, lost_on order by nth) as integer) as rank,
    cast(n_sources as integer) as n_sources,
    newest_on,
    evidence
from ranked
where reason <> 'unknown' or nth = 1
