-- Every sign that a customer who still buys may leave. How far back each is looked at, and from how
-- many on it is one, stands here; the other thresholds are variables of the project.
{% set signs = [
    ('open_complaints', var('complaint_days'), 1, 'open complaint', 'open complaints'),
    ('repeated_complaints', 180, 2, '', 'complaints within 180 days'),
    ('contact_person', 180, 1, 'case of trouble with the contact person',
        'cases of trouble with the contact person'),
    ('stated_reason', var('warning_days'), 1, 'stated reason to leave', 'stated reasons to leave'),
    ('delivery_trouble', 90, 2, '', 'late or failed deliveries within 90 days'),
    ('bad_reviews', var('warning_days'), 1, 'review with 1 or 2', 'reviews with 1 or 2'),
    ('low_satisfaction', 120, 1, 'low score in a survey', 'low scores in surveys'),
    ('cancelled_appointments', var('warning_days'), 1, 'cancelled appointment',
        'cancelled appointments'),
    ('abandoned_checkouts', var('warning_days'), 1, 'abandoned checkout', 'abandoned checkouts'),
] %}
with counted as (
    {% for sign, days, least, singular, plural in signs %}
        select
            customer_key,
            sign,
            {{ count_in_words('count(*)', singular, plural) }} as in_words,
            min(happened_on) as since
        from {{ ref('int_warning_signs__told') }}
        where
            sign = '{{ sign }}'
            and happened_on >= {{ days_after(as_of(), -days) }}
        group by customer_key, sign
        having count(*) >= {{ least }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

signs as (
    select
        customer_key,
        sign,
        in_words,
        since
    from {{ ref('int_warning_signs__ordered') }}
    union all
    select
        customer_key,
        sign,
        in_words,
        since
    from {{ ref('int_warning_signs__used') }}
    union all
    select
        customer_key,
        sign,
        in_words,
        since
    from counted
)

select
    signs.customer_key,
    signs.sign,
    signs.in_words,
    signs.since
from signs
inner join {{ ref('fct_customer_states') }} as states
    on signs.customer_key = states.customer_key
where
    not states.is_lapsed
    and not (
        signs.sign = 'repeated_complaints'
        and signs.customer_key in (
            select customer_key from counted where sign = 'open_complaints'
        )
    )
