with source as (
    select * from {{ source('raw', 'survey_answers') }}
)

select
    answer_id,
    customer_key,
    survey,
    question,
    score,
    reason,
    answered_at
from source
where {{ is_in_feed('answered_at') }}
