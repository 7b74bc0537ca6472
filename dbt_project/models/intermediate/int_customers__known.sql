-- Whoever turned out to be another customer is gone from here; that one counts since the earliest
-- registration of both.
{{ config(**rebuilt_for('int_customers__touched')) }}

with people as (
    select
        coalesce(merged.person_key, customers.customer_key) as customer_key,
        min(customers.registered_on) as registered_on,
        count(*) as n_records
    from {{ ref('stg_customers') }} as customers
    left join {{ ref('int_customers__merged') }} as merged
        on customers.customer_key = merged.customer_key
    where {{ is_of('int_customers__touched', 'customers.customer_key') }}
    group by coalesce(merged.person_key, customers.customer_key)
)

select
    people.customer_key,
    customers.locale,
    customers.country,
    people.registered_on,
    people.n_records
from people
left join {{ ref('stg_customers') }} as customers
    on people.customer_key = customers.customer_key
