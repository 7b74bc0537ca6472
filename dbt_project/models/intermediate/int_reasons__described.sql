-- The reasons for leaving. Price and range are decisions of ours that may be right all the same; an
-- own fault is what we owe a remedy for.
{% set reasons = [
    ('product_quality', true, 'the quality of a product', 'die Qualität eines Produkts'),
    ('service_quality', true, 'the service', 'der Service'),
    ('delivery', true, 'late or failed deliveries', 'verspätete oder ausgebliebene Lieferungen'),
    ('lack_of_appreciation', true, 'too little appreciation', 'zu wenig Wertschätzung'),
    ('contact_person', true, 'the contact person', 'die Ansprechperson'),
    ('price', false, 'the price', 'der Preis'),
    ('assortment', false, 'what is on offer', 'das Angebot'),
    ('changed_needs', false, 'other needs than before', 'ein anderer Bedarf als früher'),
    ('competitor', false, 'a competitor', 'ein Wettbewerber'),
    ('moved', false, 'a move', 'ein Umzug'),
    ('household', false, 'another household', 'ein anderer Haushalt'),
    ('abroad', false, 'an absence', 'eine Abwesenheit'),
    ('stocked_up', false, 'a stock that lasts', 'ein Vorrat, der reicht'),
    ('unknown', false, 'nothing is known', 'es ist nichts bekannt'),
] %}
{% for reason, is_own_fault, in_words_en, in_words_de in reasons %}
    select
        '{{ reason }}' as reason,
        cast({{ is_own_fault }} as boolean) as is_own_fault,
        '{{ in_words_en }}' as in_words_en,
        '{{ in_words_de }}' as in_words_de
    {% if not loop.last %}union all{% endif %}
{% endfor %}
