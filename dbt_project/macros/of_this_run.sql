{#- A value that differs from run to run, such as the as-of date. Not a plain var: dbt parses the
    whole project anew whenever a var has another value, and takes longer over that than over
    building a small shop. While parsing, and where no run gave it, it is the var of that name. -#}
{% macro of_this_run(name) -%}
    {%- set given = fromjson(env_var('DBT_RUN_VALUES', '{}')) if execute else {} -%}
    {{ return(given[name] if name in given else var(name)) }}
{%- endmacro %}
