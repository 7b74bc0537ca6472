-- Facts that are counted or averaged from one feed each.
with counted as (
    select
        customer_key,
        'n_unpaid' as fact,
        cast(
            sum(case when paid_at is null and {{ is_known('due_at') }} then 1 else 0 end)
            as decimal(24, 4)
        ) as amount,
        1 as weight
    from {{ ref('stg_payments') }}
    group by customer_key
    union all
    select
        customer_key,
        'n_reminders' as fact,
        cast(sum(coalesce(n_reminders, 0)) as decimal(24, 4)) as amount,
        1 as weight
    from {{ ref('stg_payments') }}
    group by customer_key
    union all
    select
        customer_key,
        'n_complaints' as fact,
        cast(count(*) as decimal(24, 4)) as amount,
        1 as weight
    from {{ ref('stg_complaints') }}
    group by customer_key
    union all
    select
        customer_key,
        'n_referrals' as fact,
        cast(count(distinct referred_customer_key) as decimal(24, 4)) as amount,
        1 as weight
    from {{ ref('stg_referrals') }}
    group by customer_key
    union all
    select
        customer_key,
        'mean_rating' as fact,
        cast(sum(rating) as decimal(24, 4)) as amount,
        count(*) as weight
    from {{ ref('stg_reviews') }}
    group by customer_key
)

select
    counted.fact,
    coalesce(merged.person_key, counted.customer_key) as customer_key,
    cast(
        round(
            sum(counted.amount)
            / case counted.fact when 'mean_rating' then sum(counted.weight) else 1 end, 4
        ) as decimal(24, 4)
    ) as amount
from counted
left join {{ ref('int_customers__merged') }} as merged
    on counted.customer_key = merged.customer_key
group by counted.fact, coalesce(merged.person_key, counted.customer_key)
