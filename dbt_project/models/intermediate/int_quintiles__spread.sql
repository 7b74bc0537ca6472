-- The bounds of all scores in one row, so that a customer is compared without looking any up.
{{ config(materialized='view') }}

select
    {% for score in orders_of_customers() %}
        {% for nth in range(1, 5) %}
            {% for column in columns_of_bound(score) %}
                max(case when score = '{{ score }}' and nth = {{ nth }} then {{ column }} end)
                    as {{ score }}_{{ nth }}_{{ column }},
            {% endfor %}
        {% endfor %}
    {% endfor %}
    count(*) as n_bounds
from {{ ref('int_quintiles__bounded') }}
