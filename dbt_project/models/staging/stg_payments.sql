select
    payment_id,
    customer_key,
    order_id,
    amount_cents,
    currency,
    invoiced_at,
    due_at,
    case when {{ is_known('paid_at') }} then paid_at end as paid_at,
    n_reminders,
    is_disputed
from {{ source('raw', 'payments') }}
where {{ is_in_feed('invoiced_at') }}
