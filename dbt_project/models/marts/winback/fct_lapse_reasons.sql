-- Why those who are lost now left. What may have driven them away is made good or told to them
-- first: `priority` 3 where we fixed our own fault since, 2 where something else of theirs is
-- fixed, 1 for a fault of ours that stands.
{{ config(**rebuilt_for('int_customers__reasoned', key=['customer_key', 'reason'])) }}

select
    reasons.customer_key,
    reasons.reason,
    described.is_own_fault,
    reasons.is_stated,
    reasons.weight,
    reasons.rank,
    reasons.n_sources,
    reasons.evidence,
    described.in_words_en,
    described.in_words_de,
    fixed.fixed_on is not null as is_fixed_since,
    fixed.fixed_on,
    fixed.fixed_what,
    case when described.is_own_fault then 1 else 0 end
    + case when fixed.fixed_on is not null then 2 else 0 end as priority,
    losses.lost_on
from {{ ref('int_customers__standing') }} as standing
inner join {{ ref('int_losses__dated') }} as losses
    on standing.customer_key = losses.customer_key and losses.returned_on is null
inner join {{ ref('int_reasons__weighed') }} as reasons
    on
        losses.customer_key = reasons.customer_key
        and losses.lost_on = reasons.lost_on
inner join {{ ref('int_reasons__described') }} as described on reasons.reason = described.reason
left join {{ ref('int_reasons__fixed') }} as fixed
    on
        reasons.customer_key = fixed.customer_key
        and reasons.lost_on = fixed.lost_on
        and reasons.reason = fixed.reason
where
    {{ is_of('int_customers__reasoned', 'standing.customer_key') }}
    and (standing.is_lapsed or standing.state = 'angry')
