{#- How dbt changes what is there already when a build adds to the last one. Its own ways take a
    detour each time, which costs more than a day's few rows. A build that makes everything anew goes
    its own ways: only then may columns differ, as the fingerprint of the project tells
    (plugins/winback/mart_builds.py). -#}

{#- Rows go straight into the table instead of through a temporary one. -#}
{% materialization incremental, adapter='postgres' -%}
    {%- if not is_incremental() -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set columns = adapter.get_column_schema_from_query(get_empty_subquery_sql(sql)) %}
    {% call statement('main') -%}
        insert into {{ this }} ({{ columns | map(attribute='quoted') | join(', ') }})
        {{ sql }}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

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
