-- All customers minus those who bought in the last 180 days. Who never bought is not on it.
{{ config(materialized='view') }}

select
    customer_key,
    as_of,
    last_purchase_date,
    days_since_last_purchase
from {{ ref('fct_customer_states') }}
where days_since_last_purchase > {{ var('inactive_days') }}
