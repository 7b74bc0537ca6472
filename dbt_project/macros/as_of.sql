{#- The as-of date. -#}
{% macro as_of() -%}
    cast('{{ var("as_of") }}' as date)
{%- endmacro %}

{#- True for facts that are known: they happened before 00:00 of the as-of date. -#}
{% macro is_known(column) -%}
    {{ column }} < cast('{{ var("as_of_at") }}' as {{ dbt.type_timestamp() }} with time zone)
{%- endmacro %}
