-- With whom each of the lower four fifths ends, in each of the three orders of all who ever bought:
-- whoever comes behind that customer has a higher score. Where the count does not divide, the lower
-- fifths are the larger ones.
{{ config(post_hook="analyze {{ this }}") }}

{% set measures = {
    'last_purchase_date': 'date', 'n_purchases': 'bigint', 'turnover_cents': 'bigint',
} %}
with counted as (
    select count(*) as n_customers
    from {{ ref('int_customers__unscored') }}
    where n_purchases > 0
),

bounds as (
    {% for nth in range(1, 5) %}
        select
            {{ nth }} as nth,
            {{ nth }} * (n_customers - mod(n_customers, 5)) / 5
            + least({{ nth }}, mod(n_customers, 5)) as place
        from counted
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

{% for score, columns in orders_of_customers().items() %}
    {{ score }} as (
        select
            {{ columns | join(', ') }},
            customer_key,
            row_number() over (order by {{ columns | join(', ') }}, customer_key) as place
        from {{ ref('int_customers__unscored') }}
        where n_purchases > 0
    ){{ ',' if not loop.last }}
{% endfor %}

{% for score, columns in orders_of_customers().items() %}
    select
        '{{ score }}' as score,
        bounds.nth,
        {% for measure, type in measures.items() %}
            cast({{ score ~ '.' ~ measure if measure in columns else 'null' }} as {{ type }})
                as {{ measure }},
        {% endfor %}
        {{ score }}.customer_key
    from {{ score }}
    inner join bounds on {{ score }}.place = bounds.place
    {% if not loop.last %}union all{% endif %}
{% endfor %}
