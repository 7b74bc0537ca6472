{{ config(materialized='view') }}

select
    verdict_id,
    snapshot_id,
    campaign_id,
    customer_key,
    channel,
    step,
    is_eligible,
    cast(array_to_string(reasons, ', ') as {{ dbt.type_string() }}) as reasons,
    cast(evidence as {{ dbt.type_string() }}) as evidence,
    decided_at
from {{ source('ops', 'verdict') }}
