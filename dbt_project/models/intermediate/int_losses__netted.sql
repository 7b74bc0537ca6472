-- What each loss costs, net: paid in the year up to the last purchase, minus what was paid back from
-- the beginning of that year until they were back. Where more was paid back than paid, nothing was
-- lost: never below zero. A view, since a return may come long after the loss was found.
{{ config(materialized='view') }}

with paid_back as (
    select
        losses.customer_key,
        losses.lost_on,
        sum(sent_back.amount_cents) as amount_cents
    from {{ ref('int_losses__dated') }} as losses
    inner join {{ ref('int_returns__daily') }} as sent_back
        on
            losses.customer_key = sent_back.customer_key
            and sent_back.returned_on >= {{ days_after('losses.last_purchase_date', -364) }}
            and sent_back.returned_on < coalesce(losses.returned_on, {{ as_of() }})
    group by losses.customer_key, losses.lost_on
)

select
    losses.customer_key,
    losses.lost_on,
    losses.is_lapsed,
    losses.returned_on,
    losses.last_purchase_date,
    cast(
        greatest(losses.turnover_cents - coalesce(paid_back.amount_cents, 0), 0) as bigint
    ) as turnover_cents
from {{ ref('int_losses__dated') }} as losses
left join paid_back
    on losses.customer_key = paid_back.customer_key and losses.lost_on = paid_back.lost_on
