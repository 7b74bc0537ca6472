select
    scores.customer_key,
    {{ as_of() }} as as_of,
    scores.model_run_id,
    {% for days in [30, 60, 180] %}
        cast(scores.probability_{{ days }}_days as decimal(7, 6)) as probability_{{ days }}_days,
    {% endfor %}
    scores.spend_if_bought_cents,
    cast(scores.expected_purchases as decimal(14, 6)) as expected_purchases,
    cast(scores.probability_alive as decimal(7, 6)) as probability_alive,
    scores.value_cents,
    scores.value_low_cents,
    scores.value_high_cents,
    scores.value_if_returned_cents,
    scores.value_if_returned_low_cents,
    scores.value_if_returned_high_cents,
    cast(scores.spend_place as decimal(7, 6)) as spend_place
from {{ source('scores', 'customer_score') }} as scores
