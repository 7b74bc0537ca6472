{#- The last business day of a contract; null while it runs without a known end. -#}
{% macro contract_end(contracts) -%}
    {{ business_date(
        'case when ' ~ contracts ~ '.ends_at is not null then ' ~ contracts ~ '.ends_at'
        ~ ' when ' ~ contracts ~ '.revoked_at is null then ' ~ contracts ~ '.cancelled_at end'
    ) }}
{%- endmacro %}
