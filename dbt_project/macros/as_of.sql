{#- The as-of date. -#}
{% macro as_of() -%}
    cast('{{ of_this_run("as_of") }}' as date)
{%- endmacro %}

{#- True for facts that are known: they happened before 00:00 of the as-of date. -#}
{% macro is_known(column) -%}
    {{ column }} < cast('{{ of_this_run("as_of_at") }}' as {{ dbt.type_timestamp() }} with time zone)
{%- endmacro %}

{#- True for rows of a feed that are known and that the source had not deleted by then. -#}
{% macro is_in_feed(event_time) -%}
    {{ is_known(event_time) }}
    and (deleted_at is null or not {{ is_known('deleted_at') }})
{%- endmacro %}
