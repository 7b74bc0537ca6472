{#- Schemas are named as configured, without the target's name before them. A date before the newest
    one builds beside it, in schemas with a suffix, and feeds nothing. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) ~ var('schema_suffix') }}
{%- endmacro %}
