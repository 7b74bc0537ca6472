-- The reasons for each loss, the main one first: unknown where nothing is evidence for any.
{{ config(materialized='view') }}

{% set columns = [
    'customer_key', 'lost_on', 'reason', 'is_stated', 'weight', 'rank', 'n_sources', 'newest_on',
    'evidence',
] %}
select {{ columns | join(', ') }}
from {{ ref('int_reasons__ranked') }}
union all
select
    losses.customer_key,
    losses.lost_on,
    'unknown' as reason,
    false as is_stated,
    cast({{ var('least_reason_weight') }} as decimal(8, 3)) as weight,
    1 as rank,
    0 as n_sources,
    cast(null as date) as newest_on,
    'nothing points to a reason' as evidence
from {{ ref('int_losses__dated') }} as losses
where
    not exists (
        select 1
        from {{ ref('int_reasons__ranked') }} as ranked
        where losses.customer_key = ranked.customer_key and losses.lost_on = ranked.lost_on
    )
