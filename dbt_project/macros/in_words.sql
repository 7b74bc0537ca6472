{#- What signs of leaving are called, by language: the data of the setting `warning_language`. A
    text names its numbers in braces; a count is one, or a number and many. -#}
{% macro sign_texts() -%}
    {{ return({
        'en': {
            'numbers': ['two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'],
            'none': 'no',
            'overdue': 'orders every {usual} days, now {silent} without',
            'rarer_orders': 'ordered every {usual} days, lately every {recent}',
            'smaller_baskets': 'the last two orders were {pct} % smaller than those before',
            'falling_visits': '{visits} in the last 60 days, usually {usual}',
            'falling_use': '{pct} % less use ({measure})',
            'visits': ['one visit', 'visits'],
            'open_complaints': ['one open complaint', 'open complaints'],
            'repeated_complaints': ['', 'complaints within 180 days'],
            'contact_person': [
                'one case of trouble with the contact person',
                'cases of trouble with the contact person',
            ],
            'stated_reason': ['one stated reason to leave', 'stated reasons to leave'],
            'delivery_trouble': ['', 'late or failed deliveries within 90 days'],
            'bad_reviews': ['one review with 1 or 2', 'reviews with 1 or 2'],
            'low_satisfaction': ['one low score in a survey', 'low scores in surveys'],
            'cancelled_appointments': ['one cancelled appointment', 'cancelled appointments'],
            'abandoned_checkouts': ['one abandoned checkout', 'abandoned checkouts'],
        },
        'de': {
            'numbers': ['zwei', 'drei', 'vier', 'fünf', 'sechs', 'sieben', 'acht', 'neun'],
            'none': 'keine',
            'overdue': 'bestellt alle {usual} Tage, jetzt seit {silent} Tagen nicht',
            'rarer_orders': 'bestellte alle {usual} Tage, zuletzt alle {recent}',
            'smaller_baskets': 'die letzten beiden Bestellungen waren {pct} % kleiner als zuvor',
            'falling_visits': '{visits} in den letzten 60 Tagen, sonst {usual}',
            'falling_use': '{pct} % weniger Nutzung ({measure})',
            'visits': ['ein Besuch', 'Besuche'],
            'open_complaints': ['eine offene Beschwerde', 'offene Beschwerden'],
            'repeated_complaints': ['', 'Beschwerden in 180 Tagen'],
            'contact_person': [
                'einmal Ärger mit der Ansprechperson',
                'Fälle von Ärger mit der Ansprechperson',
            ],
            'stated_reason': ['ein genannter Grund zu gehen', 'genannte Gründe zu gehen'],
            'delivery_trouble': ['', 'späte oder ausgebliebene Lieferungen in 90 Tagen'],
            'bad_reviews': ['eine Bewertung mit 1 oder 2', 'Bewertungen mit 1 oder 2'],
            'low_satisfaction': [
                'eine schlechte Note in einer Umfrage', 'schlechte Noten in Umfragen',
            ],
            'cancelled_appointments': ['ein abgesagter Termin', 'abgesagte Termine'],
            'abandoned_checkouts': [
                'ein abgebrochener Bestellvorgang', 'abgebrochene Bestellvorgänge',
            ],
        },
    }[var('warning_language')]) }}
{%- endmacro %}

{#- A sign in words: its text with the values, which are SQL, in place of the names in braces. -#}
{% macro sign_in_words(name, values) -%}
    {%- set parts = [] -%}
    {%- for piece in sign_texts()[name].split('{') -%}
        {%- set named, _, rest = piece.rpartition('}') -%}
        {%- if named -%} {%- do parts.append(values[named]) -%} {%- endif -%}
        {%- if rest -%} {%- do parts.append("'" ~ rest ~ "'") -%} {%- endif -%}
    {%- endfor -%}
    {{ dbt.concat(parts) }}
{%- endmacro %}

{#- A count as people write it: "one open complaint", "two open complaints", "14 complaints". -#}
{% macro count_in_words(n, name) -%}
    {%- set texts = sign_texts() -%}
    {%- set one, many = texts[name] -%}
    case
        when {{ n }} = 0 then '{{ texts["none"] }} {{ many }}'
        when {{ n }} = 1 then '{{ one }}'
        {% for word in texts['numbers'] %}
            when {{ n }} = {{ loop.index + 1 }} then '{{ word }} {{ many }}'
        {% endfor %}
        else {{ dbt.concat(["cast(" ~ n ~ " as " ~ dbt.type_string() ~ ")", "' " ~ many ~ "'"]) }}
    end
{%- endmacro %}

{#- A number without decimals as text. -#}
{% macro whole(number) -%}
    cast(cast(round({{ number }}) as integer) as {{ dbt.type_string() }})
{%- endmacro %}
