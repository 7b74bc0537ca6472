"""A template kept at the provider: what it must hold, and what it must not do with values."""

from __future__ import annotations

import pytest

from winback.outreach.handlebars import problems

TEXT = (
    "Hello{{#if first_name}} {{first_name}}{{else}} you{{/if}}, since {{ last_purchase_on }}.\n"
    "{{why}}\nStop: {{unsubscribe_url}}\nWishes: {{preferences_url}}\n"
    "{{sender_name}}, {{sender_postal_address}}"
)
HTML = (
    "<p>Hello{{#if first_name}} {{first_name}}{{/if}}</p><p>{{why}}</p>"
    '<p><a href="{{unsubscribe_url}}">Stop</a> <a class="x" href="{{ preferences_url }}">Wishes</a>'
    "</p><p>{{sender_name}}, {{sender_postal_address}}</p>"
)


def test_a_template_with_all_that_belongs_to_it_is_taken() -> None:
    assert problems(TEXT, "text") == []
    assert problems(HTML, "html") == []
    assert problems("We miss you{{#if first_name}}, {{first_name}}{{/if}}", "subject") == []
    assert problems("We miss you", "subject") == []


@pytest.mark.parametrize(
    "name",
    ["unsubscribe_url", "preferences_url", "why", "sender_name", "sender_postal_address"],
)
@pytest.mark.parametrize(("part", "kind"), [(TEXT, "text"), (HTML, "html")])
def test_without_one_of_them_it_is_refused(part: str, kind: str, name: str) -> None:
    for there in (f"{{{{{name}}}}}", f"{{{{ {name} }}}}"):
        part = part.replace(there, "X")
    [problem] = problems(part, kind)
    assert f"write {{{{{name}}}}} in it" in problem
    # what only some would read, or nobody, is not there
    for hidden in (
        f"{{{{#if first_name}}}}{{{{{name}}}}}{{{{/if}}}}",
        f"{{{{!-- {{{{{name}}}}} --}}}}",
        f"{{{{! {name} }}}}",
        *([f"<!-- {{{{{name}}}}} -->"] if kind == "html" else []),
    ):
        assert any(f"write {{{{{name}}}}} in it" in each for each in problems(part + hidden, kind))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("{{{first_name}}}", "{{{first_name}}} writes HTML as it comes: write {{first_name}}"),
        ("{{{ why }}}", "writes HTML as it comes"),
        ("{{& why}}", "writes HTML as it comes"),
        ("{{#if first_name}}{{{first_name}}}{{/if}}", "writes HTML as it comes"),
        ("{{first_name}}", "not everybody has a first_name"),
        ("{{#if why}}{{first_name}}{{/if}}", "not everybody has a first_name"),
        ("{{#unless first_name}}{{first_name}}{{/unless}}", "not everybody has a first_name"),
        ("{{#if first_name}}a{{else}}{{first_name}}{{/if}}", "not everybody has a first_name"),
        ("{{discount}}", "{{discount}} is no value: the values are unsubscribe_url"),
        ("{{customer.name}}", "is no value"),
        ("{{> footer}}", "is no value"),
        ("{{else}}", "is no value"),
        ("{{#each orders}}x{{/each}}", "can not be checked: write {{#if NAME}}"),
        ("{{#if discount}}x{{/if}}", "can not be checked"),
        ("{{#if first_name}}x", "{{#if first_name}} is never ended"),
        ("{{/if}}", "{{/if}} ends nothing that was begun"),
        ("{{#if first_name}}x{{/unless}}", "{{/unless}} ends nothing that was begun"),
    ],
)
def test_what_can_not_be_checked_or_is_not_escaped_is_refused(more: str, problem: str) -> None:
    for part, kind in ((TEXT, "text"), (HTML, "html"), ("We miss you", "subject")):
        assert any(problem in each for each in problems(part + more, kind)), problems(part, kind)


def test_a_link_in_html_must_be_one() -> None:
    told = ['the stop link is no link: write <a href="{{unsubscribe_url}}"> around some words']
    link = '<a href="{{unsubscribe_url}}">Stop</a>'
    for other in (
        "Stop: {{unsubscribe_url}}",
        '<a href="{{unsubscribe_url}}"> </a>{{unsubscribe_url}}',
        '{{#if first_name}}<a href="{{unsubscribe_url}}">Stop</a>{{/if}} {{unsubscribe_url}}',
        '{{!-- <a href="{{unsubscribe_url}}">Stop</a> --}} {{unsubscribe_url}}',
    ):
        assert problems(HTML.replace(link, other), "html") == told, other
    picture = '<a href="{{unsubscribe_url}}"><img alt="Stop"></a>'
    assert problems(HTML.replace(link, picture), "html") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<!--", ""),
        ("<!-- >", "--"),
        ("{{#if first_name}}<!--{{/if}}", ""),
        ("{{#unless first_name}}<!--{{/unless}}", "-->"),
        ("<style>", "</style>"),
        ("<template>", "</template>"),
        ("<textarea>", "</textarea>"),
        ("{{#if first_name}}", "{{/if}}"),
        ("{{#if why}}{{#unless first_name}}", "{{/unless}}{{/if}}"),
        ("{{#if first_name}}x{{else}}", "{{/if}}"),
    ],
)
def test_what_only_some_or_nobody_would_read_is_not_there(before: str, after: str) -> None:
    start = HTML.index("<p>{{why}}")
    part = f"{HTML[:start]}{before}{HTML[start:]}{after}"
    assert len(problems(part, "html")) == 5
    assert all("outside of any condition and where it is read" in p for p in problems(part, "html"))


def test_words_in_an_attribute_are_read_by_nobody() -> None:
    part = HTML.replace("{{sender_postal_address}}", '<img alt="{{sender_postal_address}}">')
    [problem] = problems(f"<title>{{{{sender_postal_address}}}}</title>{part}", "html")
    assert "lacks the sender's address" in problem


def test_what_everybody_reads_may_stand_under_a_condition() -> None:
    part = HTML.replace("{{why}}", "{{#if why}}{{why}}{{/if}}")
    assert problems(part, "html") == []
    both = "{{#if first_name}}{{why}}{{else}}{{ why }}{{/if}}"
    assert problems(HTML.replace("{{why}}", both), "html") == []


def test_the_other_side_of_unless_knows_the_name() -> None:
    more = "{{#unless first_name}}you{{else}}{{first_name}}{{/unless}}"
    assert problems(TEXT + more, "text") == []
