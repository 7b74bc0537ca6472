-- Stated reasons for which a customer only looks gone, and until when. Who is away gets the usual
-- time again once back. Who moved or lives with others now can be written to as soon as somebody
-- noted the right address (a conversation with the outcome `address_corrected`). A purchase soon
-- after the statement may be the last before leaving; a later one refutes it.
-- said before the first purchase or after it: what was usual then is the patience
with stated as (
    select
        reasons.customer_key,
        reasons.reason,
        reasons.stated_on,
        reasons.absent_until,
        purchases.usual_lapse_days
    from {{ ref('int_reasons__stated') }} as reasons
    inner join {{ ref('int_purchases__expected') }} as purchases
        on reasons.customer_key = purchases.customer_key
    where
        reasons.reason in ('abroad', 'moved', 'household', 'stocked_up')
        and (purchases.n_gaps = 0 or purchases.purchase_date <= reasons.stated_on)
        and (
            purchases.next_purchase_date is null
            or reasons.stated_on < purchases.next_purchase_date
        )
),

refuted as (
    select
        stated.customer_key,
        stated.reason,
        stated.stated_on,
        min({{ days_after('purchases.purchase_date', 1) }}) as broken_on
    from stated
    inner join {{ ref('int_purchases__expected') }} as purchases
        on stated.customer_key = purchases.customer_key
    where
        purchases.purchase_date
        > coalesce(
            stated.absent_until, {{ days_after('stated.stated_on', var('farewell_days')) }}
        )
    group by stated.customer_key, stated.reason, stated.stated_on
),

corrected as (
    select
        coalesce(merged.person_key, contacts.customer_key) as customer_key,
        {{ business_date('contacts.contacted_at') }} as corrected_on
    from {{ ref('stg_contacts') }} as contacts
    left join {{ ref('int_customers__merged') }} as merged
        on contacts.customer_key = merged.customer_key
    where contacts.outcome = 'address_corrected'
),

spans as (
    select
        stated.customer_key,
        case stated.reason when 'abroad' then 'absent' else stated.reason end as signal,
        {{ days_after('stated.stated_on', 1) }} as from_date,
        case
            when stated.reason in ('moved', 'household') then (
                select min({{ days_after('corrected.corrected_on', 1) }})
                from corrected
                where
                    corrected.customer_key = stated.customer_key
                    and corrected.corrected_on > stated.stated_on
            )
            when stated.absent_until is not null
                then {{ first_as_of_past('stated.absent_until', 'stated.usual_lapse_days') }}
            else {{ first_as_of_past('stated.stated_on', var('inactive_days')) }}
        end as until_date,
        refuted.broken_on
    from stated
    left join refuted
        on
            stated.customer_key = refuted.customer_key
            and stated.reason = refuted.reason
            and stated.stated_on = refuted.stated_on
)

select
    customer_key,
    signal,
    from_date,
    least(until_date, broken_on) as until_date
from spans
