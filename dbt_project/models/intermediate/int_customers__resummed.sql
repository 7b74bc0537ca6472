-- Whose record, purchases or returns are not as they were at the last build. Compared, not tracked:
-- a return that vanished, or turned out to be somebody else's, is seen as well.
{{ config(**whom_it_concerns()) }}

{% set told = ref('int_returns__dated') %}
{% set kept = built('int_returns__daily') %}
select customer_key from {{ ref('int_customers__touched') }}
{% if kept %}
    union
    select coalesce(newer.customer_key, older.customer_key) as customer_key  -- noqa: RF01
    from {{ told }} as newer
    full outer join {{ kept }} as older
        on
            newer.customer_key = older.customer_key
            and newer.returned_on = older.returned_on
            and newer.amount_cents = older.amount_cents
    where newer.customer_key is null or older.customer_key is null
{% endif %}
{{ and_of_failed_builds() }}
