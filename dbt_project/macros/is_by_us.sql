{#- True for a consent that names us as the advertiser, or nobody; for every one where we have no
    names. -#}
{% macro is_by_us(advertiser) -%}
    {%- set ours = [] -%}
    {%- for name in var('advertisers') -%}
        {%- do ours.append("'" ~ dbt.escape_single_quotes(name) ~ "'") -%}
    {%- endfor -%}
    {%- set named = 'lower(btrim(' ~ advertiser ~ '))' -%}
    {{ 'coalesce(' ~ named ~ ' in (' ~ ours | join(', ') ~ '), true)' if ours else 'true' }}
{%- endmacro %}
