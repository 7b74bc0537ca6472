{#- The business day on which an instant lies; the only place that converts time zones. -#}
{% macro business_date(column) -%}
    {{ return(adapter.dispatch('business_date')(column)) }}
{%- endmacro %}

{% macro default__business_date(column) -%}
    cast({{ column }} at time zone '{{ var("business_timezone") }}' as date)
{%- endmacro %}

{% macro spark__business_date(column) -%}
    cast(from_utc_timestamp({{ column }}, '{{ var("business_timezone") }}') as date)
{%- endmacro %}
