"""What a message says, and what can not be built at all."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date
from html import escape, unescape
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from winback.errors import CampaignError
from winback.outreach.message import (
    MAX_NAME_LENGTH,
    SHAPES,
    Recipient,
    Sender,
    compose,
    fill,
    headers,
    personal_values,
)
from winback.outreach.template_mail import compose_template_mail
from winback.settings import PROJECT

SENDER = Sender("Müller & Söhne <Records>", "shop@example.com", "1 Example Street, 10115 Berlin")
LINK = '<a href="{{ unsubscribe_url }}"'
TEMPLATES = PROJECT / "campaigns" / "templates"
ANNA = Recipient(
    message_id=UUID(int=7),
    address="anna@example.com",
    first_name="Anna",
    locale="de_DE",
    last_purchase_on=date(2025, 5, 3),
    grounded_on=date(2024, 1, 31),
    unsubscribe_url="https://shop.example/winback/unsubscribe/abc",
)


def read(recipient: Recipient, folder: Path = TEMPLATES) -> tuple[str, str, str]:
    """Subject, text and html as the recipient sees them."""
    mail = compose(folder, "welcome_back", recipient.shape, SENDER, has_offer=False)
    values = personal_values(recipient)
    return fill(mail.subject, values), fill(mail.text, values), fill(mail.html, values)


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    return tmp_path / "templates"


@pytest.mark.parametrize(
    ("locale", "name", "greeting", "bought", "agreed"),
    [
        ("de_DE", "Anna", "Guten Tag Anna,", "3. Mai 2025", "31. Januar 2024"),
        ("de_AT", None, "Guten Tag,", "3. Mai 2025", "31. Jänner 2024"),
        ("de-DE", "Anna", "Guten Tag Anna,", "3. Mai 2025", "31. Januar 2024"),
        ("en_GB", "Anna", "Hello Anna,", "3 May 2025", "31 January 2024"),
        ("en_US", None, "Hello,", "May 3, 2025", "January 31, 2024"),
        ("fr_FR", "Anna", "Hello Anna,", "May 3, 2025", "January 31, 2024"),
        (None, None, "Hello,", "May 3, 2025", "January 31, 2024"),
    ],
)
def test_a_message_greets_names_its_reason_and_can_be_stopped(
    locale: str | None, name: str | None, greeting: str, bought: str, agreed: str
) -> None:
    recipient = replace(ANNA, locale=locale, first_name=name)
    subject, text, html = read(recipient)
    assert subject
    for part in (text, unescape(html)):
        assert greeting in part
        assert bought in part
        assert agreed in part
        assert SENDER.name in part
        assert SENDER.postal_address in part
        assert ANNA.unsubscribe_url in part
        assert "https://shop.example/winback/preferences/abc" in part
        assert "%winback" not in part
    assert f'href="{ANNA.unsubscribe_url}"' in html
    assert f'<html lang="{recipient.language}">' in html


@pytest.mark.parametrize(
    ("locale", "says", "never"),
    [("de_DE", "bei einem Kauf", "eingewilligt"), ("en_GB", "with a purchase", "agreed")],
)
def test_an_existing_customer_reads_what_allows_the_message(
    locale: str, says: str, never: str
) -> None:
    _, text, html = read(replace(ANNA, locale=locale, ground="existing_customer"))
    for part in (text, unescape(html)):
        assert says in part
        assert never not in part
        assert "2024" in part


def test_the_headers_offer_to_unsubscribe_with_one_click() -> None:
    assert headers(ANNA) == {
        "List-Unsubscribe": "<https://shop.example/winback/unsubscribe/abc>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/\r\nBcc: all@example.com",
        "https://shop.example/\nX: y",
        "https://shop.example>, <mailto:x@example.com",
        "javascript:alert(1)",
        "shop.example",
        "",
        "https://",
        "https://shop.example/ x",
        "https://shop.example/\x7f",
        "https://shöp.example",
        "https://shop.example:port",
        'https://shop.example/"',
        "mailto:x@example.com",
    ],
)
def test_what_is_no_web_address_never_becomes_a_header(url: str) -> None:
    with pytest.raises(CampaignError, match="public_url must be a web address"):
        headers(replace(ANNA, unsubscribe_url=url))


@pytest.mark.parametrize("ground", ["consent", "existing_customer"])
@pytest.mark.parametrize("language", ["de", "en"])
def test_an_offer_comes_with_the_sentence_by_what_it_was_made(language: str, ground: str) -> None:
    shape = (language, True, ground)
    told = (TEMPLATES / f"offer.{language}.txt").read_text(encoding="utf-8").strip()
    assert "automati" in told
    with_one = compose(TEMPLATES, "welcome_back", shape, SENDER, has_offer=True)
    without = compose(TEMPLATES, "welcome_back", shape, SENDER, has_offer=False)
    assert with_one.text.count(told) == with_one.html.count(escape(told)) == 1
    assert with_one.text.replace(f" {told}", "") == without.text


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_survey_says_that_they_agreed_to_be_asked(language: str) -> None:
    shape = (language, True, "consent")
    survey, news = (
        compose(TEMPLATES, "welcome_back", shape, SENDER, has_offer=False, is_survey=is_survey)
        for is_survey in (True, False)
    )
    asked, told = {
        "de": ("wie zufrieden Sie sind", "Neuigkeiten von"),
        "en": ("how content you are", "to receive news"),
    }[language]
    for part in ("text", "html"):
        assert asked in getattr(survey, part)
        assert told not in getattr(survey, part)
        assert told in getattr(news, part)
    template = compose_template_mail(
        TEMPLATES, "d-1", shape, SENDER, has_offer=False, is_survey=True
    )
    assert asked in template.why


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_an_offer_without_that_sentence_can_not_be_built(templates: Path, text: str | None) -> None:
    file = templates / "offer.en.txt"
    file.unlink() if text is None else file.write_text(text, encoding="utf-8")
    shape = ("en", True, "consent")
    with pytest.raises(CampaignError, match=r"templates/offer.en.txt is (missing|empty): write"):
        compose(templates, "welcome_back", shape, SENDER, has_offer=True)
    with pytest.raises(CampaignError, match=r"templates/offer.en.txt is (missing|empty): write"):
        compose_template_mail(templates, "d-1", shape, SENDER, has_offer=True)
    compose(templates, "welcome_back", shape, SENDER, has_offer=False)


@pytest.mark.parametrize("lacking", ["name", "email", "postal_address"])
def test_a_message_without_its_sender_can_not_be_built(lacking: str) -> None:
    with pytest.raises(CampaignError, match="must say who writes: set sender_name"):
        compose(
            TEMPLATES,
            "welcome_back",
            ("de", True, "consent"),
            replace(SENDER, **{lacking: ""}),
            has_offer=False,
        )


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "welcome_back/body.de.txt",
            '{% include "footer.de.txt" %}',
            "",
            "(de, text) lacks the stop link",
        ),
        (
            "layout.html",
            '{% include "footer." ~ language ~ ".html" %}',
            "",
            "(de, html) lacks the stop link",
        ),
        ("footer.de.html", "{{ why }}", "", "(de, html) lacks the reason"),
        ("footer.de.txt", "{{ preferences_url }}", "", "(de, text) lacks the link to one's wishes"),
        (
            "footer.de.html",
            "{{ preferences_url }}",
            "",
            "(de, html) lacks the link to one's wishes",
        ),
        ("footer.de.txt", "{{ sender_postal_address }}", "", "(de, text) lacks the address"),
        ("footer.de.html", LINK, "<!-- {{ unsubscribe_url }} --><a", "lacks the stop link"),
        ("footer.de.html", LINK, f"<!-- {LINK}> --><a", "lacks the stop link"),
        ("footer.de.html", LINK, '<link href="{{ unsubscribe_url }}"', "lacks the stop link"),
        ("footer.de.html", LINK, f"<!-- {LINK}", "lacks the stop link"),
        ("footer.de.html", LINK, f"<template>{LINK}></template><a", "lacks the stop link"),
        ("footer.de.html", "{{ why }}", "<i title='{{ why }}'></i>", "lacks the reason"),
        ("why.de.txt", "{{ grounded_on }}", "neulich", "why.de.txt lacks the date"),
        ("welcome_back/subject.de.txt", "Wir", "{{ nonsense }}", "de.txt: 'nonsense' is undefined"),
        (
            "welcome_back/subject.de.txt",
            "Wir würden Sie gern wiedersehen",
            " \n",
            "welcome_back/subject.de.txt is empty: write what it is to say",
        ),
        ("welcome_back/body.de.html", "Weile", "{{ ''.__class__.__mro__ }}", "unsafe"),
        ("welcome_back/body.de.html", "Weile", "{{ sender_name.format.__globals__ }}", "unsafe"),
        ("welcome_back/body.de.html", "Weile", "{{ 1 / 0 }}", "division by zero"),
        ("welcome_back/body.de.html", "Weile", "{{ range(10 ** 9) | list }}", "Range too big"),
        ("welcome_back/body.de.html", "Weile", "{{ first_name + 1 }}", "body.de.html"),
        ("welcome_back/body.de.html", "Weile", "{% if %}", "body.de.html, line 2"),
        (
            "welcome_back/body.de.html",
            "Weile",
            '{% include "welcome_back/body.de.html" %}',
            "maximum recursion depth",
        ),
        (
            "welcome_back/body.de.html",
            "Weile",
            '{% include "../../secret.txt" %}',
            "secret.txt is missing",
        ),
        (
            "welcome_back/body.de.html",
            "layout.html",
            "nowhere.html",
            "templates/nowhere.html is missing: write it",
        ),
    ],
)
def test_a_template_that_lacks_something_or_plays_tricks_is_refused(
    templates: Path, file: str, old: str, new: str, says: str
) -> None:
    (templates.parent / "secret.txt").write_text("secret", encoding="utf-8")
    text = (templates / file).read_text(encoding="utf-8")
    assert old in text
    (templates / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CampaignError) as caught:
        compose(templates, "welcome_back", ("de", True, "consent"), SENDER, has_offer=False)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["txt", "html"])
@pytest.mark.parametrize("instead", ["Stand: {{ grounded_on }}", "{{ why | truncate(160) }}"])
def test_the_day_alone_is_no_reason_and_neither_is_half_of_it(
    templates: Path, part: str, instead: str
) -> None:
    footer = templates / f"footer.de.{part}"
    text = footer.read_text(encoding="utf-8")
    footer.write_text(text.replace("{{ why }}", instead), encoding="utf-8")
    shape = ("de", False, "existing_customer")
    with pytest.raises(CampaignError, match=r"\(de, \w+\) lacks the reason"):
        compose(templates, "welcome_back", shape, SENDER, has_offer=True)


@pytest.mark.parametrize(
    "written",
    [
        "{{ first_name }}",
        "{{ first_name | upper }}",
        "{{ 'Guten Tag ' ~ first_name }}",
        "{{ first_name.title() }}",
        "{% for letter in first_name %}x{% endfor %}",
    ],
)
@pytest.mark.parametrize("file", ["body.de.txt", "body.de.html", "subject.de.txt"])
def test_a_first_name_that_not_everybody_has_must_be_asked_for(
    templates: Path, file: str, written: str
) -> None:
    path = templates / "welcome_back" / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Wir ", written, 1), encoding="utf-8")
    compose(templates, "welcome_back", ("en", False, "consent"), SENDER, has_offer=False)
    with pytest.raises(CampaignError, match=r"write \{% if first_name %\}… \{\{ first_name"):
        compose(templates, "welcome_back", ("de", False, "consent"), SENDER, has_offer=False)


@pytest.mark.parametrize(
    "written", ["{{ first_name or 'you' }}", "{{ first_name | default('you') }}"]
)
def test_a_first_name_may_have_a_stand_in(templates: Path, written: str) -> None:
    (templates / "welcome_back" / "subject.en.txt").write_text(written, encoding="utf-8")
    assert (
        compose(
            templates, "welcome_back", ("en", False, "consent"), SENDER, has_offer=False
        ).subject
        == "you"
    )
    assert (
        "first_name"
        in compose(
            templates, "welcome_back", ("en", True, "consent"), SENDER, has_offer=False
        ).subject
    )


def test_a_template_that_is_not_utf_8_is_named(templates: Path) -> None:
    (templates / "welcome_back" / "body.de.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(CampaignError, match=r"body\.de\.txt: not UTF-8"):
        compose(templates, "welcome_back", ("de", False, "consent"), SENDER, has_offer=False)


@pytest.mark.parametrize(
    ("given_name", "written"),
    [
        ("  Anna\u00a0 Maria ", "Anna Maria"),
        ("Jürgen-O'Neill", "Jürgen-O'Neill"),
        ("<b>Anna</b>", "<b>Anna</b>"),
        ("Anna\r\nBcc: all", "Anna Bcc: all"),
        ("\u202eannA\u202c", "annA"),
        ("An\x00na", "An na"),
        ("A" * 10_000_000, "A" * MAX_NAME_LENGTH),
        ("%winback.unsubscribe_url.text%", ""),
        ("%winback.first_name.html%x", ""),
        ("[%unsubscribe%]", "[unsubscribe]"),
        ("win at evil.example", ""),
        ("see https://evil", ""),
        ("me@evil", ""),
        ("\u202e \u200b", ""),
        ("J. R. R.", "J. R. R."),
    ],
)
def test_a_name_is_one_harmless_line(given_name: str, written: str) -> None:
    recipient = replace(ANNA, first_name=given_name)
    assert recipient.name == written
    # without a usable name the greeting is the one without a name
    assert recipient.shape == ("de", bool(written), "consent")
    _, text, html = read(recipient)
    assert (f"Guten Tag {written}," if written else "Guten Tag,") in text
    assert "<b>Anna" not in html
    assert html.count("<a href=") == 2


@given(st.text(max_size=60))
@example('"><script>alert(1)</script>')
@example("{{ 7 * 7 }}")
@example("&lt;%winback.unsubscribe_url.html%")
def test_no_name_changes_anything_but_itself(name: str) -> None:
    recipient = replace(ANNA, first_name=name)
    values = personal_values(recipient)
    assert len(values) == 10
    plain = replace(recipient, first_name="Anna" if recipient.name else None)
    text_value, html_value = (values[f"%winback.first_name.{kind}%"] for kind in ("text", "html"))
    assert "%" not in text_value + html_value
    assert not re.search(r"[<>\"\n\r]", html_value)
    assert text_value.isprintable()
    if recipient.name:
        _, text, html = _read_fast(recipient)
        _, expected_text, expected_html = _read_fast(plain)
        assert text == expected_text.replace("Anna", text_value, 1)
        assert html == expected_html.replace("Anna", html_value, 1)


_COMPOSED = {
    shape: compose(TEMPLATES, "welcome_back", shape, SENDER, has_offer=False) for shape in SHAPES
}


def _read_fast(recipient: Recipient) -> tuple[str, str, str]:
    mail, values = _COMPOSED[recipient.shape], personal_values(recipient)
    return fill(mail.subject, values), fill(mail.text, values), fill(mail.html, values)


@pytest.mark.parametrize(
    "locale", ["de_XX", "en_GB_x_y_z", "de_", "_", "e", "deutsch", "en_GB.UTF-8", "../../etc", "zz"]
)
def test_a_mistyped_locale_stops_nobodys_message(locale: str) -> None:
    values = personal_values(replace(ANNA, locale=locale))
    assert "2025" in values["%winback.last_purchase_on.text%"]


def test_the_mail_itself_holds_nothing_personal() -> None:
    for mail in _COMPOSED.values():
        for part in (mail.subject, mail.text, mail.html):
            assert "Anna" not in part
