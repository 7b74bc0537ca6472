{{ config(materialized='view') }}

select
    campaign_id,
    lapse_id,
    customer_key,
    as_of as assigned_on,
    occasion,
    occasion_date,
    arm,
    reason as excluded_because,
    stratum as value_tier,
    customer_state as state
from {{ source('ops', 'assignment') }}
