{#- True for a consent that names us as the advertiser, or nobody. -#}
{% macro is_by_us(advertiser) -%}
    {%- if var('advertisers') -%}
    coalesce(lower(btrim({{ advertiser }})) in (
        {%- for name in var('advertisers') -%}
        '{{ dbt.escape_single_quotes(name) }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
    ), true)
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}
