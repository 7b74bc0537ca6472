-- What a customer's gaps said about the next one at the time of each purchase; nothing here knows
-- what came later but `next_purchase_date`. Model and levels: plugins/winback/model/rhythm.py.
{% set key = ['customer_key', 'purchase_date'] %}
{{ config(**rebuilt_for('int_customers__touched', key=key, until='next_purchase_date')) }}
{% set by_day = 'partition by customer_key order by purchase_date' %}
{% set year = "range between interval '364' day preceding and current row" %}
{% set so_far = by_day ~ ' rows unbounded preceding' %} {#- what shares it is made in one pass -#}
{% set gap_sum = 'coalesce(sum(usual_gap_days) over (' ~ so_far ~ '), 0)' %}
with numbered as (
    select
        customer_key,
        purchase_date,
        last_ordered_at,
        n_orders,
        quantity,
        amount_cents,
        cast(row_number() over ({{ so_far }}) - 1 as integer) as n_gaps,
        min(purchase_date) over ({{ so_far }}) as first_purchase_date,
        {{ dbt.datediff('lag(purchase_date) over (' ~ so_far ~ ')', 'purchase_date', 'day') }}
            as gap_days,
        lead(purchase_date) over ({{ so_far }}) as next_purchase_date,
        cast(sum(n_orders) over ({{ so_far }}) as bigint) as n_orders_so_far,
        cast(sum(amount_cents) over ({{ so_far }}) as bigint) as turnover_so_far_cents,
        cast(sum(amount_cents) over ({{ by_day }} {{ year }}) as bigint) as turnover_year_cents,
        ln(cast(nullif(quantity, 0) as {{ dbt.type_float() }})) as log_quantity
    from {{ ref('int_orders__daily') }}
    where {{ is_of('int_customers__touched') }}
),

stocked as (
    select
        *,
        cast(greatest(exp({{ of_this_run('quantity_elasticity') }} * coalesce(cast(
            log_quantity - avg(log_quantity) over ({{ so_far }}) as decimal(12, 7)
        ), 0)), 0.0001) as decimal(12, 4)) as stock_factor
    from numbered
),

adjusted as (
    select
        *,
        cast(gap_days / lag(stock_factor) over ({{ by_day }}) as decimal(12, 2)) as usual_gap_days,
        cast(stock_factor as {{ dbt.type_float() }}) as stock
    from stocked
),

summed as (
    select
        *,
        cast(greatest(least(round(2 * ln(stock) / ln(2)), 6), -2) as integer) as stock_level,
        cast({{ gap_sum }} as decimal(14, 2)) as gap_sum_days,
        cast({{ of_this_run('rhythm_rate_days') }} + {{ gap_sum }} as {{ dbt.type_float() }})
            as pace_days
    from adjusted
),

expected as (
    select
        summed.*,
        {% for quantile in ['early', 'expected', 'late'] %}
            cast(summed.pace_days * quantiles.{{ quantile }} * summed.stock as decimal(9, 2))
                as {{ quantile }}_days,
        {% endfor %}
        cast(
            case
                when summed.n_gaps = 0 then {{ var('inactive_days') }}
                else {{ of_this_run('lapse_multiplier') }} * quantiles.usual_late * summed.pace_days
            end as decimal(9, 2)
        ) as usual_lapse_days
    from summed {{ since_changed('int_customers__touched', 'summed', 'next_purchase_date') }}
    left join {{ source('ops', 'rhythm_quantile') }} as quantiles
        on
            quantiles.model_run_id = {{ of_this_run('rhythm_run_id') }}
            and summed.stock_level = quantiles.stock_level
            and least(summed.n_gaps, {{ of_this_run('most_gaps') }}) = quantiles.n_gaps
)

select
    customer_key,
    purchase_date,
    first_purchase_date,
    next_purchase_date,
    last_ordered_at,
    n_orders,
    quantity,
    amount_cents,
    n_orders_so_far,
    turnover_so_far_cents,
    turnover_year_cents,
    gap_days,
    n_gaps,
    gap_sum_days,
    stock_factor,
    early_days,
    expected_days,
    late_days,
    usual_lapse_days,
    -- less than usual shortens the expectation, never the patience
    cast(usual_lapse_days * greatest(stock_factor, 1) as decimal(9, 2)) as lapse_after_days
from expected
