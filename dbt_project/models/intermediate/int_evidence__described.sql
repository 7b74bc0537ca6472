-- What may tell why somebody left, and how much it says: the one place with the weights. A weight
-- of 1 is as good as no evidence at all. What a customer states while leaving outweighs everything
-- that is concluded, as the conclusions for one reason together count for 9 at most.
{% set kinds = [
    ('survey', true, 10, 'said in a survey', 'stated'),
    ('cancellation', true, 10, 'said when cancelling', 'stated'),
    ('conversation', true, 10, 'said in a conversation', 'stated'),
    ('complaint', false, 5, 'complained of it', 'said it unasked, though not as a reason to go'),
    ('favourite_discontinued', false, 4, 'the favourite product was discontinued',
        'concerns few, just when they left'),
    ('return', false, 4, 'sent something back for it', 'most never return anything'),
    ('appointment_cancelled', false, 3, 'an appointment was cancelled by us', 'seldom'),
    ('delivery_again', false, 3, 'another late or failed delivery within 90 days',
        'twice is no chance any more'),
    ('price_rise', false, 2.5, 'paid at least 10 % more than before',
        'prices rise for those who stay, too'),
    ('failed_delivery', false, 2, 'a delivery failed', 'rare, but it happens to those who stay'),
    ('bad_review', false, 2, 'rated it with 1 or 2', 'often does not say what was bad'),
    ('address_corrected', false, 2, 'the address had to be corrected', 'moved, and did not say'),
    ('late_delivery', false, 1.2, 'a delivery came late', 'happens to everybody'),
    ('low_score', false, 0.8, 'was dissatisfied in a survey', 'does not say with what'),
    ('price_now_higher', false, 0.7, 'costs at least 10 % more today',
        'nobody knows whether they saw it'),
] %}
{% for evidence_kind, is_stated, weight, in_words, why in kinds %}
    select
        '{{ evidence_kind }}' as evidence_kind,
        cast({{ is_stated }} as boolean) as is_stated,
        cast({{ weight }} as decimal(4, 1)) as weight,
        '{{ in_words }}' as in_words,
        '{{ why }}' as why
    {% if not loop.last %}union all{% endif %}
{% endfor %}
