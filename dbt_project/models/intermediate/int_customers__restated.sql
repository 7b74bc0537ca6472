-- Whose state must be told anew: whose purchases changed, and of whom something else is known now or
-- known no more.
{% set never = "cast('9999-12-31' as date)" %}
{% set new_facts = ref('int_facts__dated') %}
{% set former_facts = built('int_facts__signalled') %}
select customer_key from {{ ref('int_customers__touched') }}
{% if former_facts %}
    union
    select coalesce(new.customer_key, former.customer_key) as customer_key
    from {{ new_facts }} as new
    full outer join {{ former_facts }} as former
        on
            new.customer_key = former.customer_key
            and new.signal = former.signal
            and new.from_date = former.from_date
            and coalesce(new.until_date, {{ never }}) = coalesce(former.until_date, {{ never }})
    where new.customer_key is null or former.customer_key is null
{% endif %}
{{ and_of_failed_builds() }}
