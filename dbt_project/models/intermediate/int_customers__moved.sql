-- Whose state is told anew or changes by time alone since the last build.
{{ config(**whom_it_concerns()) }}

select customer_key from {{ ref('int_customers__restated') }}
union
select customer_key
from {{ ref('int_customers__timeline') }}
where valid_from > {{ built_as_of() }} and valid_from <= {{ as_of() }}
