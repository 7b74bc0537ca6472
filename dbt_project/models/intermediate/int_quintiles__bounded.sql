-- With whom each of the lower four fifths ends, in each of the three orders of all who ever bought:
-- whoever comes behind that customer has a higher score. Where the count does not divide, the lower
-- fifths are the larger ones. Twelve are looked for among all, so nobody is sorted who need not be:
-- customers are counted in steps, and ordered only within the steps in which a fifth ends.
{{ config(post_hook="analyze {{ this }}") }}

{% set measures = {
    'last_purchase_date': 'date', 'n_purchases': 'bigint', 'turnover_cents': 'bigint',
} %}
{#- a step is half a percent of turnover wide; below zero is a step as well -#}
{% set turnover_step -%}
    floor(200 * ln(1 + cast(greatest(turnover_cents, 0) as {{ dbt.type_float() }})))
{%- endset %}
{#- each step holds customers who come right after each other in the order of the score -#}
{% set steps_of = {
    'recency': ['last_purchase_date'],
    'frequency': ['n_purchases', turnover_step],
    'monetary': [turnover_step],
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
    {% set steps = steps_of[score] %}
    {{ score }}_steps as (
        select
            {% for step in steps %}
                {{ step }} as step_{{ loop.index }},
            {% endfor %}
            count(*) as n,
            sum(count(*)) over (order by {{ steps | join(', ') }}) as n_until
        from {{ ref('int_customers__unscored') }}
        where n_purchases > 0
        group by {{ steps | join(', ') }}
    ),

    {{ score }}_bounds as (
        select
            bounds.nth,
            steps.*,
            bounds.place - steps.n_until + steps.n as place
        from bounds
        inner join {{ score }}_steps as steps
            on bounds.place > steps.n_until - steps.n and bounds.place <= steps.n_until
    ),

    {{ score }} as (
        select
            {{ columns | join(', ') }},
            customer_key,
            {% for step in steps %}
                {{ step }} as step_{{ loop.index }},
            {% endfor %}
            row_number() over (
                partition by {{ steps | join(', ') }}
                order by {{ columns | join(', ') }}, customer_key
            ) as place
        from {{ ref('int_customers__unscored') }}
        where
            n_purchases > 0
            and ({{ steps | join(', ') }}) in (
                select {{ ['step_1', 'step_2'][:steps | length] | join(', ') }}
                from {{ score }}_bounds
            )
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
    inner join {{ score }}_bounds as bounds
        on
            {{ score }}.place = bounds.place
            {% for _ in steps_of[score] %}
                and {{ score }}.step_{{ loop.index }} = bounds.step_{{ loop.index }}
            {% endfor %}
    {% if not loop.last %}union all{% endif %}
{% endfor %}
