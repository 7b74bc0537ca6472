-- From the day after the first purchase, or the beginning of the first contract, on, every customer has exactly one state on every date, and
-- each row says something that the one before it did not.
with numbered as (
    select
        *,
        lead(valid_from) over by_date as next_from,
        row_number() over by_date as nth,
        concat_ws(' ', state, is_lapsed, not_lapsed_because) as standing,
        lag(concat_ws(' ', state, is_lapsed, not_lapsed_because)) over by_date as standing_before
    from {{ ref('fct_customer_state_changes') }}
    window by_date as (partition by customer_key order by valid_from)
),

known as (
    select
        customer_key,
        min(first_from) as first_from
    from (
        select
            customer_key,
            {{ days_after('first_purchase_date', 1) }} as first_from
        from {{ ref('int_customers__rhythm') }}
        union all
        select
            customer_key,
            from_date as first_from
        from {{ ref('int_contracts__spanned') }}
        where signal = 'contracted' and from_date <= {{ as_of() }}
    ) as beginnings
    group by customer_key
),

expected as (
    select
        numbered.*,
        known.first_from
    from numbered
    full outer join known on numbered.customer_key = known.customer_key
)

select *
from expected
where
    first_from is null
    or valid_from is null
    or (nth = 1 and valid_from <> first_from)
    or valid_until <= valid_from
    or coalesce(valid_until, '9999-12-31') <> coalesce(next_from, '9999-12-31')
    or standing = standing_before
