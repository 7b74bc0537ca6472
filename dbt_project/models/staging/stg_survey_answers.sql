select
    answer_id,
    customer_key,
    survey,
    question,
    score,
    reason,
    answered_at
from {{ source('raw', 'survey_answers') }}
where {{ is_in_feed('answered_at') }}
