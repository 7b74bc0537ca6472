-- What customers told us and what happened to them, as spans of as-of dates: what moves a state
-- beside the purchases.
{{ config(materialized='view') }}

with spans as (
    select
        customer_key,
        signal,
        from_date,
        until_date
    from {{ ref('int_reasons__excusing') }}
    union all
    select
        customer_key,
        'troubled' as signal,
        {{ days_after('since', 1) }} as from_date,
        {{ days_after('until', 1) }} as until_date
    from {{ ref('int_trouble__dated') }}
    union all
    select
        customer_key,
        'cancelled' as signal,
        {{ days_after('cancelled_on', 1) }} as from_date,
        {{ days_after('until', 1) }} as until_date
    from {{ ref('int_cancellations__standing') }}
    union all
    select
        customer_key,
        signal,
        from_date,
        until_date
    from {{ ref('int_contracts__spanned') }}
)

-- of several with the same beginning the longest
select
    customer_key,
    signal,
    from_date,
    case when count(until_date) = count(*) then max(until_date) end as until_date
from spans
where until_date is null or from_date < until_date
group by customer_key, signal, from_date
