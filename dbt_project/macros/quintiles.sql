{#- What all customers are ordered by for each score, before the key, which breaks ties. -#}
{% macro orders_of_customers() -%}
    {{ return({
        'recency': ['last_purchase_date'],
        'frequency': ['n_purchases', 'turnover_cents'],
        'monetary': ['turnover_cents'],
    }) }}
{%- endmacro %}

{#- The columns of a bound between two fifths, as int_quintiles__spread names them. -#}
{% macro columns_of_bound(score) -%}
    {{ return(orders_of_customers()[score] + ['customer_key']) }}
{%- endmacro %}

{#- A score of 1 to 5: one more for each bound behind which the customer comes; none for who never
    bought. -#}
{% macro quintile_of(score, customer, bounds) -%}
    {%- set steps = ['case when ' ~ customer ~ '.n_purchases > 0 then 1 end'] -%}
    {%- for nth in range(1, 5) -%}
        {%- set lines = [] -%}
        {%- for column in columns_of_bound(score) -%}
            {%- set own = customer ~ '.' ~ column -%}
            {%- set bound = bounds ~ '.' ~ score ~ '_' ~ nth ~ '_' ~ column -%}
            {%- do lines.append('when ' ~ own ~ ' > ' ~ bound ~ ' then 1') -%}
            {%- do lines.append('when ' ~ own ~ ' < ' ~ bound ~ ' then 0') -%}
        {%- endfor -%}
        {%- do steps.append('case\n' ~ lines | join('\n') ~ '\nelse 0 end') -%}
    {%- endfor -%}
    {{ steps | join('\n+ ') }}
{%- endmacro %}
