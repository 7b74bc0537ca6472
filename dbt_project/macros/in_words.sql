{#- A count as people write it: "one open complaint", "two open complaints", "14 complaints". -#}
{% macro count_in_words(n, singular, plural) -%}
    {%- set words = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'] -%}
    case
        when {{ n }} = 0 then 'no {{ plural }}'
        {% for word in words %}
            when {{ n }} = {{ loop.index }}
                then '{{ word }} {{ singular if loop.first else plural }}'
        {% endfor %}
        else {{ dbt.concat(["cast(" ~ n ~ " as " ~ dbt.type_string() ~ ")", "' " ~ plural ~ "'"]) }}
    end
{%- endmacro %}

{#- A number without decimals as text. -#}
{% macro whole(number) -%}
    cast(cast(round({{ number }}) as integer) as {{ dbt.type_string() }})
{%- endmacro %}
