-- Who was lost when, and when they were back; whoever is angry now counts as being lost.
with changes as (
    select
        *,
        lag(is_lapsed) over (partition by customer_key order by valid_from) as was_lapsed
    from {{ ref('fct_customer_state_changes') }}
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
        purchases.late_days,
        row_number() over (
            partition by ended.customer_key, ended.lost_on order by purchases.purchase_date desc
        ) as nth
    from ended
    inner join {{ ref('int_purchases__expected') }} as purchases
        on
            ended.customer_key = purchases.customer_key
            and ended.lost_on > purchases.purchase_date
)

select
    customer_key,
    lost_on,
    is_lapsed,
    returned_on,
    last_purchase_date,
    expected_days,
    late_days
from placed
where nth = 1
