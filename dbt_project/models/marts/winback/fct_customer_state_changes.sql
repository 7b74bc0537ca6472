{{ config(materialized='view') }}

select
    customer_key,
    state,
    is_lapsed,
    not_lapsed_because,
    valid_from,
    case when valid_until <= {{ as_of() }} then valid_until end as valid_until
from {{ ref('int_customers__timeline') }}
where valid_from <= {{ as_of() }}
