{#- The texts of a group as one, in an order; the only place that aggregates lists. -#}
{% macro joined_text(text, separator, order_by) -%}
    {{ return(adapter.dispatch('joined_text')(text, separator, order_by)) }}
{%- endmacro %}

{% macro default__joined_text(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }}, {{ text }})
{%- endmacro %}

{% macro spark__joined_text(text, separator, order_by) -%}
    array_join(
        transform(sort_array(collect_list(struct({{ order_by }} as a, {{ text }} as b))), x -> x.b),
        '{{ separator }}'
    )
{%- endmacro %}
