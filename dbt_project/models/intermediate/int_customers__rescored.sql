-- Of whom dim_customers says something else than at the last build: touched, paid back to, or
-- passed by a bound between two fifths. Compared, not tracked: what a failed build left is seen as
-- well.
{{ config(**whom_it_concerns()) }}

{% set now = ref('int_customers__scored') %}
{% set kept = built('dim_customers') %}
select customer_key from {{ ref('int_customers__touched') }}
{% if kept and not should_full_refresh() %}
    union
    select scored.customer_key
    from {{ now }} as scored
    inner join {{ kept }} as kept on scored.customer_key = kept.customer_key  -- noqa: RF01
    where
        scored.turnover_cents <> kept.turnover_cents
        or scored.recency_score <> kept.recency_score
        or scored.frequency_score <> kept.frequency_score
        or scored.monetary_score <> kept.monetary_score
{% endif %}
