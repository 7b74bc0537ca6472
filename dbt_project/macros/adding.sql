{#- Heavy tables of one customer's rows at a time are built anew only for the customers of a model
    that says whom the day concerns. Everything such a table holds of somebody must follow from that
    customer's own facts and settings, never from the as-of date or from other customers: then adding
    day by day gives what building anew gives. -#}

{#- How such a table is kept: the model with the customers, or with the orders, for whom a run
    builds it, and the columns by which one of their rows is known. Where rows of an earlier time
    stand (`since_changed`), also the column with the last date that counts for a row. -#}
{% macro rebuilt_for(model, by='customer_key', key=['customer_key'], until=none) -%}
    {#- nobody asks for a range of orders, and hashes are built faster -#}
    {%- set by_order = [{'columns': ['order_id'], 'type': 'hash'}] if by == 'order_id' else [] -%}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'unique_key': key,
        'meta': {'rebuilt_for': model, 'rebuilt_by': by, 'rebuilt_until': until},
        'post_hook': "{{ count_rows(" ~ (by == 'customer_key') ~ ") }}",
        'indexes': [{'columns': ['customer_key']}] + by_order,
    }) }}
{%- endmacro %}

{#- How a table is kept that says whom the day concerns: what reads it has to know how few they
    are. -#}
{% macro whom_it_concerns() -%}
    {{ return({'materialized': 'table', 'post_hook': "analyze {{ this }}"}) }}
{%- endmacro %}

{#- True for the customers, or the orders, whom this run concerns; for all where everything is built
    anew, or where a model that is not kept is told so. -#}
{% macro is_of(model, column='customer_key', by='customer_key', is_adding=none) -%}
    {%- set concerned = ref(model) -%}
    {%- if (is_incremental() if is_adding is none else is_adding) -%}
        {{ column }} in (select concerned.{{ by }} from {{ concerned }} as concerned)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Joins to rows of customers whom this run concerns, but for those that stand: the last date that
    counts for them, null where it is still to come, lies before the first change. -#}
{% macro since_changed(model, relation, until) -%}
    {%- set concerned = ref(model) -%}
    {%- if is_incremental() -%}
        inner join {{ concerned }} as concerned
            on
                {{ relation }}.customer_key = concerned.customer_key
                and coalesce({{ relation }}.{{ until }} >= concerned.changed_from, true)
    {%- endif -%}
{%- endmacro %}

{#- After such a table was built anew: tells the planner how large it is, and of how many customers.
    From a sample of rows it believes in a tenth of them where those of a customer stand together,
    and reads the whole table for a day's few; a sample of pages says better. -#}
{% macro count_rows(is_of_customers=false) -%}
    {%- if not is_incremental() -%}
        {%- if is_of_customers -%}
            do $$
            declare
                share real := (
                    select count(distinct customer_key)::real / nullif(count(*), 0)
                    -- three hundred pages, or all
                    from {{ this }} tablesample system (
                        least(100, 100 * 300 * 8192.0 / greatest(pg_table_size('{{ this }}'), 1))
                    ) repeatable (1)
                );
            begin
                if share is not null then
                    execute format(
                        'alter table {{ this }} alter column customer_key set (n_distinct = %s)',
                        -share
                    );
                end if;
            end
            $$;
        {%- endif -%}
        analyze {{ this }}
    {%- endif -%}
{%- endmacro %}

{#- What the last build made of a model, before this run touches it; none where there is nothing.
    For the few models that find out what changed: a reference would be circular. -#}
{% macro built(model) -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] -%}
        {{ return(adapter.get_relation(node.database, node.schema, node.alias)) }}
    {%- endif -%}
{%- endmacro %}

{#- Whose rows a model tells otherwise now than the last build kept them in a table of the same
    columns; nobody where it kept none. Compared, not tracked: what vanished, moved or is somebody
    else's by now is seen as well. -#}
{% macro and_whose_rows_differ(told, kept) -%}
    {%- set former = built(kept) -%}
    {%- if former %}
        union
        select coalesce(newer.customer_key, older.customer_key) as customer_key
        from {{ told }} as newer
        -- whole rows, in which nothing equals nothing
        full outer join {{ former }} as older on newer = older
        where newer.customer_key is null or older.customer_key is null
    {%- endif -%}
{%- endmacro %}

{#- The as-of date of the last build. -#}
{% macro built_as_of() -%}
    cast('{{ of_this_run("built_as_of") }}' as date)
{%- endmacro %}

{#- True for rows that came, or were corrected, after the last build. -#}
{% macro is_new(snapshot_id) -%}
    {{ snapshot_id }} in ({{ (of_this_run('new_snapshots') or ['null']) | join(', ') }})
{%- endmacro %}

{#- True for what happened between the last as-of date and this one. -#}
{% macro is_known_since(column) -%}
    (
        {{ column }}
        >= cast('{{ of_this_run("built_as_of_at") }}' as {{ dbt.type_timestamp() }} with time zone)
        and {{ is_known(column) }}
    )
{%- endmacro %}

{#- True for what was recorded after the last build began. -#}
{% macro is_recorded_since(column) -%}
    {{ column }} >= cast('{{ of_this_run("built_at") }}' as {{ dbt.type_timestamp() }} with time zone)
{%- endmacro %}

{#- True for two records of which it was found since the last build that they are, or are not, one
    person. -#}
{% macro is_merged_since() -%}
    (
        merged_as_of > {{ built_as_of() }}
        or unmerged_as_of > {{ built_as_of() }}
        or {{ is_recorded_since('merged_at') }}
        or {{ is_recorded_since('unmerged_at') }}
    )
{%- endmacro %}

{#- After a build that failed half way: whom that one concerned is not done with. -#}
{% macro and_of_failed_builds(columns=['customer_key']) -%}
    {%- set former = built(this.identifier) -%}
    {%- if of_this_run('is_second_attempt') and former -%}
        union
        select {{ columns | join(', ') }} from {{ former }} as former
    {%- endif -%}
{%- endmacro %}
