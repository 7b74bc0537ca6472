-- Reasons that are gone since the customer last had them: an improvement of the same reason and,
-- where it names a product or a category, of what the evidence is about or, where that does not say,
-- of what the customer bought.
with improvements as (
    select
        improvement_id,
        reason,
        product_id,
        category,
        description,
        {{ business_date('fixed_at') }} as fixed_on
    from {{ ref('stg_improvements') }}
),

concerned as (
    select
        evidence.customer_key,
        evidence.lost_on,
        evidence.reason,
        coalesce(evidence.product_id, bought.product_id) as product_id
    from {{ ref('int_evidence__weighed') }} as evidence
    left join {{ ref('int_products__bought') }} as bought
        on evidence.customer_key = bought.customer_key and evidence.product_id is null
    where evidence.reason in (select reason from improvements)
),

matched as (
    select
        reasons.customer_key,
        reasons.lost_on,
        reasons.reason,
        improvements.improvement_id,
        improvements.description,
        improvements.fixed_on
    from {{ ref('int_reasons__ranked') }} as reasons
    inner join improvements
        on reasons.reason = improvements.reason and reasons.newest_on < improvements.fixed_on
    left join concerned
        on
            reasons.customer_key = concerned.customer_key
            and reasons.lost_on = concerned.lost_on
            and reasons.reason = concerned.reason
    left join {{ ref('stg_products') }} as products on concerned.product_id = products.product_id
    where
        (improvements.product_id is null or improvements.product_id = concerned.product_id)
        and (improvements.category is null or improvements.category = products.category)
),

newest as (
    select
        *,
        row_number() over (
            partition by customer_key, lost_on, reason order by fixed_on desc, improvement_id
        ) as nth
    from matched
)

select
    customer_key,
    lost_on,
    reason,
    fixed_on,
    description as fixed_what
from newest
where nth = 1
