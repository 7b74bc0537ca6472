-- Whose state must be told anew: whose purchases changed, and of whom something else is known now
-- or known no more.
{{ config(**whom_it_concerns()) }}

{% set told = ref('int_facts__dated') %}
{% set kept = built('int_facts__signalled') %}
{% set never = "cast('9999-12-31' as date)" %}
select customer_key from {{ ref('int_customers__touched') }}
{% if kept %}
    union
    select coalesce(newer.customer_key, older.customer_key) as customer_key  -- noqa: RF01
    from {{ told }} as newer
    full outer join {{ kept }} as older
        on
            newer.customer_key = older.customer_key
            and newer.signal = older.signal
            and newer.from_date = older.from_date
            and coalesce(newer.until_date, {{ never }}) = coalesce(older.until_date, {{ never }})
    where newer.customer_key is null or older.customer_key is null
{% endif %}
{{ and_of_failed_builds() }}
