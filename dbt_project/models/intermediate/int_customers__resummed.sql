-- Whose record, purchases or returns are not as they were at the last build.
{{ config(**whom_it_concerns()) }}

select customer_key from {{ ref('int_customers__touched') }}
{{ and_whose_rows_differ(ref('int_returns__dated'), 'int_returns__daily') }}
{{ and_of_failed_builds() }}
