{#- The date so many days after another one. -#}
{% macro days_after(from_date, days) -%}
    cast({{ dbt.dateadd('day', days, from_date) }} as date)
{%- endmacro %}

{#- The first as-of date on which more than so many days have passed since a date. -#}
{% macro first_as_of_past(from_date, days) -%}
    {{ days_after(from_date, 'cast(floor(' ~ days ~ ') as integer) + 1') }}
{%- endmacro %}
