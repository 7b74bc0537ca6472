{#- How dbt changes what is there already when a build adds to the last one. Its own ways take a
    detour each time, which costs more than a day's few rows. A build that makes everything anew goes
    its own ways: only then may columns differ, as the fingerprint of the project tells
    (plugins/winback/mart_builds.py). -#}

{#- Rows go straight into the table instead of through a temporary one. Of those whom the run
    concerns only rows that differ are taken out and put in; most do not. -#}
{% materialization incremental, adapter='postgres' -%}
    {%- if not is_incremental() -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set columns = adapter.get_column_schema_from_query(get_empty_subquery_sql(sql))
        | map(attribute='quoted') | list %}
    {% call statement('main') -%}
        {%- if config.get('unique_key') -%}
            {{ exchange_differing(sql, columns, config.get('unique_key'), config.get('meta')) }}
        {%- else -%}
            insert into {{ this }} ({{ columns | join(', ') }})
            {{ sql }}
        {%- endif -%}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

{#- One statement sees one state of the table: what it held, and what the model makes of it now. -#}
{% macro exchange_differing(sql, columns, key, concerned) -%}
    {%- set matches = [] -%}
    {%- for column in key -%}
        {%- do matches.append('kept.' ~ column ~ ' = made.' ~ column) -%}
    {%- endfor -%}
    with kept as (
        select kept.ctid as place, kept.*
        from {{ this }} as kept
        {{ which_are_concerned('kept', concerned) }}
    ),

    made as (
        {{ sql }}
    ),

    differing as materialized (
        select kept.place, made.{{ columns | join(', made.') }}
        from kept
        full join made on {{ matches | join(' and ') }}
        where
            (kept.{{ columns | join(', kept.') }})
            is distinct from (made.{{ columns | join(', made.') }})
    ),

    taken_out as (
        delete from {{ this }}
        where ctid = any(array(select place from differing where place is not null))
    )

    insert into {{ this }} ({{ columns | join(', ') }})
    select {{ columns | join(', ') }} from differing where {{ key[0] }} is not null
{%- endmacro %}

{% macro which_are_concerned(relation, concerned) -%}
    {%- set model, by = concerned['rebuilt_for'], concerned['rebuilt_by'] -%}
    {%- if concerned['rebuilt_until'] -%}
        {{ since_changed(model, relation, concerned['rebuilt_until']) }}
    {%- else -%}
        where {{ is_of(model, relation ~ '.' ~ by, by) }}
    {%- endif -%}
{%- endmacro %}

{#- A view is replaced where it stands, and so are never missing: neither it nor those over it. -#}
{% materialization view, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if should_full_refresh() or existing is none or not existing.is_view -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') -%}
        {{ get_replace_view_sql(existing, sql) }}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [existing]}) }}
{%- endmaterialization %}
