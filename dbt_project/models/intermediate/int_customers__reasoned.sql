-- Of whom the reasons for a loss may not be as they were at the last build: whoever moved, and
-- everybody with evidence, which the feeds may say otherwise any day, now or then.
{{ config(**whom_it_concerns()) }}

{% set former_reasons = built('fct_lapse_reasons') %}
select customer_key from {{ ref('int_customers__moved') }}
union
select customer_key from {{ ref('int_reasons__ranked') }}
{% if former_reasons %}
    union
    select former.customer_key from {{ former_reasons }} as former  -- noqa: RF01
    where former.n_sources > 0
{% endif %}
{{ and_of_failed_builds() }}
