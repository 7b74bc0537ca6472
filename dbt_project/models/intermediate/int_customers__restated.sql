-- Whose state must be told anew: whose purchases changed, and of whom something else is known now
-- or known no more.
{{ config(**whom_it_concerns()) }}

select customer_key from {{ ref('int_customers__touched') }}
{{ and_whose_rows_differ(ref('int_facts__dated'), 'int_facts__signalled') }}
{{ and_of_failed_builds() }}
