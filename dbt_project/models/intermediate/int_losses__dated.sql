-- Who was lost when, and when they were back; whoever is angry now counts as being lost. What a
-- loss costs is what the customer paid in the year up to the last purchase; who left a contract
-- without ever buying has none.
{{ config(**rebuilt_for('int_customers__moved', key=['customer_key', 'lost_on'])) }}

with changes as (
    select
        *,
        lag(is_lapsed) over (partition by customer_key order by valid_from) as was_lapsed
    from {{ ref('fct_customer_state_changes') }}
    where {{ is_of('int_customers__moved') }}
),

-- lapsed and back again in turn
turns as (
    select
        customer_key,
        valid_from as lost_on,
        is_lapsed,
        lead(valid_from) over (partition by customer_key order by valid_from) as returned_on
    from changes
    where is_lapsed <> coalesce(was_lapsed, false)
),

ended as (
    select * from turns
    where is_lapsed
    union all
    select
        customer_key,
        valid_from as lost_on,
        false as is_lapsed,
        cast(null as date) as returned_on
    from changes
    where state = 'angry' and not is_lapsed and valid_until is null
)

select
    ended.customer_key,
    ended.lost_on,
    ended.is_lapsed,
    ended.returned_on,
    purchases.purchase_date as last_purchase_date,
    purchases.expected_days,
    purchases.late_days,
    coalesce(purchases.turnover_year_cents, 0) as turnover_cents
from ended
left join {{ ref('int_purchases__expected') }} as purchases
    on
        ended.customer_key = purchases.customer_key
        and ended.lost_on > purchases.purchase_date
        and (
            purchases.next_purchase_date is null
            or ended.lost_on <= purchases.next_purchase_date
        )
