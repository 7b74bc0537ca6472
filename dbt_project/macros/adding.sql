{#- Heavy tables of one customer's rows at a time are built anew only for the customers of a model
    that says whom the day concerns. Everything such a table holds of somebody must follow from that
    customer's own facts and settings, never from the as-of date or from other customers: then adding
    day by day gives what building anew gives. -#}

{#- How such a table is kept, and the model with the customers for whom a run builds it. -#}
{% macro rebuilt_for(model) -%}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'pre_hook': "{{ take_out('" ~ model ~ "') }}",
        'post_hook': "{{ count_rows() }}",
        'indexes': [{'columns': ['customer_key']}],
    }) }}
{%- endmacro %}

{#- True for the customers whom this run concerns; for all where everything is built anew. -#}
{% macro is_of(model, column='customer_key') -%}
    {%- set concerned = ref(model) -%}
    {%- if is_incremental() -%}
        {{ column }} in (select concerned.customer_key from {{ concerned }} as concerned)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Before their new rows are added: takes the old rows of those customers out. -#}
{% macro take_out(model) -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where customer_key in (select customer_key from {{ ref(model) }})
    {%- endif -%}
{%- endmacro %}

{#- After such a table was built anew: tells the planner how large it is, which it guesses wrong
    otherwise and then sorts instead of hashing. -#}
{% macro count_rows() -%}
    {%- if not is_incremental() -%} analyze {{ this }} {%- endif -%}
{%- endmacro %}

{#- What the last build made of a model, before this run touches it; none where there is nothing.
    For the few models that find out what changed: a reference would be circular. -#}
{% macro built(model) -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {{ return(adapter.get_relation(node.database, node.schema, node.alias)) }}
    {%- endif -%}
{%- endmacro %}

{#- The as-of date of the last build. -#}
{% macro built_as_of() -%}
    cast('{{ var("built_as_of") }}' as date)
{%- endmacro %}

{#- True for rows that came, or were corrected, after the last build. -#}
{% macro is_new(snapshot_id) -%}
    {{ snapshot_id }} in ({{ (var('new_snapshots') or ['null']) | join(', ') }})
{%- endmacro %}

{#- True for what happened between the last as-of date and this one. -#}
{% macro is_known_since(column) -%}
    (
        {{ column }}
        >= cast('{{ var("built_as_of_at") }}' as {{ dbt.type_timestamp() }} with time zone)
        and {{ is_known(column) }}
    )
{%- endmacro %}

{#- True for what was recorded after the last build began. -#}
{% macro is_recorded_since(column) -%}
    {{ column }} >= cast('{{ var("built_at") }}' as {{ dbt.type_timestamp() }} with time zone)
{%- endmacro %}

{#- After a build that failed half way: whom that one concerned is not done with. -#}
{% macro and_of_failed_builds() -%}
    {%- set former = built(this.identifier) -%}
    {%- if var('is_second_attempt') and former -%}
        union
        select former.customer_key from {{ former }} as former
    {%- endif -%}
{%- endmacro %}
