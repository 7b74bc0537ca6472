-- Every sign that a customer who still buys may leave. How far back each is looked at, and from how
-- many on it is one, stands here; the other thresholds are variables of the project, and the words
-- are in macros/in_words.sql.
{% set signs = [
    ('open_complaints', var('complaint_days'), 1),
    ('repeated_complaints', 180, 2),
    ('contact_person', 180, 1),
    ('stated_reason', var('warning_days'), 1),
    ('delivery_trouble', 90, 2),
    ('bad_reviews', var('warning_days'), 1),
    ('low_satisfaction', 120, 1),
    ('cancelled_appointments', var('warning_days'), 1),
    ('abandoned_checkouts', var('warning_days'), 1),
] %}
{{ config(materialized='view') }}

with counted as (
    {% for sign, days, least in signs %}
        select
            customer_key,
            sign,
            {{ count_in_words('count(*)', sign) }} as in_words,
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
    customer_key,
    sign,
    in_words,
    since
from {{ ref('int_warning_signs__ordered') }}
union all
select
    signs.customer_key,
    signs.sign,
    signs.in_words,
    signs.since
from signs
inner join {{ ref('int_customers__standing') }} as standing
    on signs.customer_key = standing.customer_key
where
    not standing.is_lapsed
    and not (
        signs.sign = 'repeated_complaints'
        and signs.customer_key in (
            select customer_key from counted where sign = 'open_complaints'
        )
    )
