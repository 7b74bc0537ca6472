-- Who was lost when, and when they were back; whoever is angry now counts as being lost. What a loss
-- costs is what the customer paid in the year up to the last purchase.
{{ config(**rebuilt_for('int_customers__moved')) }}

with changes as (
    select
        *,
        lag(is_lapsed) over (partition by customer_key order by valid_from) as was_lapsed
    from {{ ref('fct_customer_state_changes') }}
    where {{ is_of('int_customers__moved') }}
),

losses as (
    select
        customer_key,
        valid_from as lost_on,
        true as is_lapsed
    from changes
    where is_lapsed and not coalesce(was_lapsed, false)
    union all
    select
        customer_key,
        valid_from as lost_on,
        false as is_lapsed
    from changes
    where state = 'angry' and not is_lapsed and valid_until is null
),

ended as (
    select
        losses.customer_key,
        losses.lost_on,
        losses.is_lapsed,
        min(changes.valid_from) as returned_on
    from losses
    left join changes
        on
            losses.customer_key = changes.customer_key
            and losses.is_lapsed
            and losses.lost_on < changes.valid_from
            and not changes.is_lapsed
    group by losses.customer_key, losses.lost_on, losses.is_lapsed
),

placed as (
    select
        ended.*,
        purchases.purchase_date as last_purchase_date,
        purchases.expected_days,
        purchases.late_days
    from ended
    inner join {{ ref('int_purchases__expected') }} as purchases
        on
            ended.customer_key = purchases.customer_key
            and ended.lost_on > purchases.purchase_date
            and (
                purchases.next_purchase_date is null
                or ended.lost_on <= purchases.next_purchase_date
            )
),

turnover as (
    select
        placed.customer_key,
        placed.lost_on,
        cast(sum(daily.amount_cents) as bigint) as turnover_cents
    from placed
    inner join {{ ref('int_orders__daily') }} as daily
        on
            placed.customer_key = daily.customer_key
            and placed.last_purchase_date >= daily.purchase_date
            and {{ days_after('placed.last_purchase_date', -365) }} < daily.purchase_date
    group by placed.customer_key, placed.lost_on
)

select
    placed.customer_key,
    placed.lost_on,
    placed.is_lapsed,
    placed.returned_on,
    placed.last_purchase_date,
    placed.expected_days,
    placed.late_days,
    turnover.turnover_cents
from placed
inner join turnover
    on placed.customer_key = turnover.customer_key and placed.lost_on = turnover.lost_on
