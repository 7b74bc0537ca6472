{#- Lets the steps gate, select and kpi read schemas that this run made for a date of its own; those
    of the newest date are opened once by the warehouse's setup. -#}
{% macro open_to_readers(schemas) -%}
    {% if var('schema_suffix') %}
        {% for schema in schemas %}
            grant usage on schema {{ schema }} to winback_loader, winback_sender;
            grant select on all tables in schema {{ schema }} to winback_loader, winback_sender;
        {% endfor %}
    {% endif %}
{%- endmacro %}
