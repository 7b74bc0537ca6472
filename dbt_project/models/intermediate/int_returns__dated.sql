-- What was paid back to a person, by day. Not joined to orders: a return may name none, and counts
-- on the day on which it was accepted.
{{ config(materialized='view') }}

select
    coalesce(merged.person_key, sent_back.customer_key) as customer_key,
    sent_back.returned_on,
    cast(sum(sent_back.amount_cents) as bigint) as amount_cents
from {{ ref('stg_returns') }} as sent_back
left join {{ ref('int_customers__merged') }} as merged
    on sent_back.customer_key = merged.customer_key
group by coalesce(merged.person_key, sent_back.customer_key), sent_back.returned_on
