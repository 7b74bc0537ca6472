-- Whom the other system left alone says nothing about response, so only those it wrote to count.
with sent as (
    select
        campaign,
        responded_at,
        coalesce(campaign_type, 'not stated') as campaign_type,
        case when {{ is_known('ends_at') }} then 0 else 1 end as is_open
    from {{ ref('stg_external_assignments') }}
    where arm = 'treated'
)

select
    {{ as_of() }} as as_of,
    campaign_type,
    count(distinct campaign) as n_campaigns,
    count(*) as n_assigned,
    cast(sum(is_open) as bigint) as n_open,
    count(responded_at) as n_responded,
    cast(round(100.0 * count(responded_at) / count(*), 4) as decimal(9, 4)) as response_pct
from sent
group by campaign_type
