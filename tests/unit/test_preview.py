"""Previews: every mail of a campaign as files, to a recipient who is plainly made up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from winback.errors import CampaignError
from winback.outreach import campaign_mail
from winback.outreach.message import SHAPES, Mail, headers
from winback.outreach.preview import (
    FIRST_NAME,
    find_campaign,
    made_up,
    preview,
    sender_of,
    write_previews,
)
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.outreach.template_mail import TemplateMail
from winback.record.unsubscribe import is_trial, trial_id
from winback.select.campaigns import SendGridTemplates
from winback.settings import PROJECT, Settings

CONFIG = Settings(
    sender_name="Example Shop",
    sender_email="shop@example.com",
    sender_postal_address="1 Example Street",
    public_url="https://shop.example",
)
KEPT = f"d-{1:032x}"


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """The campaign that is shipped, in a folder that a test may damage."""
    campaigns = tmp_path / "campaigns"
    shutil.copytree(PROJECT / "campaigns", campaigns)
    return replace(CONFIG, home=tmp_path / "home", campaigns=campaigns)


def test_each_language_and_shape_becomes_a_page_and_its_text(config: Settings) -> None:
    index = write_previews(find_campaign("welcome_back", config), config)
    assert index == config.home / "previews" / "welcome_back" / "index.html"
    overview = index.read_text(encoding="utf-8")
    pages = {path for path in index.parent.glob("*.html") if path != index}
    texts = set(index.parent.glob("*.txt"))
    assert len(pages) == len(texts) == len(SHAPES) == 8
    for path in pages | texts:
        content = path.read_text(encoding="utf-8")
        assert "The recipient is made up." in content
        assert "Subject: " in content
        assert "%winback." not in content
        assert (FIRST_NAME in content) == ("with-first-name" in path.name)
        assert "https://shop.example/winback/unsubscribe/0000000000000000" in content
        assert f'href="{path.name}"' in overview
    assert "The recipient is made up:" in overview
    assert "Nothing was sent." in overview
    english = (index.parent / "en-with-first-name-consent.txt").read_text(encoding="utf-8")
    assert "love to see you again" in english
    assert "you agreed on" in english
    german = (index.parent / "de-without-first-name-existing-customer.html").read_text("utf-8")
    assert "Guten Tag," in german
    assert "bei einem Kauf genannt" in german


@pytest.mark.parametrize("offer_cents", [0, 0.5, 500])
def test_previews_and_mails_of_an_offer_say_by_what_it_was_made(
    config: Settings, offer_cents: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config.campaigns / "welcome_back.yaml"
    text = file.read_text(encoding="utf-8")
    assert "offer_cents: 0 " in text
    file.write_text(text.replace("offer_cents: 0 ", f"offer_cents: {offer_cents} "), "utf-8")
    campaign = find_campaign("welcome_back", config)
    folder = write_previews(campaign, config).parent
    pages = [path.read_text("utf-8") for path in folder.glob("[de][en]-*.txt")]
    transport = cast(SendGridTransport, None)
    mails = campaign_mail.compose_all(campaign, sender_of(config), config, transport)
    monkeypatch.setattr(campaign_mail, "require_templates", lambda *_: None)
    there = campaign.model_copy(
        update={"template": None, "sendgrid_templates": SendGridTemplates(en=KEPT, de=KEPT)}
    )
    kept = campaign_mail.compose_all(there, sender_of(config), config, transport)
    texts = [mail.text for mail in mails.values() if isinstance(mail, Mail)]
    whys = [mail.why for mail in kept.values() if isinstance(mail, TemplateMail)]
    assert len(pages) == len(texts) == len(whys) == len(SHAPES)
    told = [
        (config.campaigns / "templates" / f"offer.{language}.txt").read_text("utf-8").strip()
        for language in ("en", "de")
    ]
    for each in (*pages, *texts, *whys):
        assert any(sentence in each for sentence in told) == (offer_cents > 0)


@pytest.mark.parametrize("purpose", ["marketing", "survey"])
def test_mails_of_a_survey_say_that_they_agreed_to_be_asked(
    config: Settings, purpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_mail, "require_templates", lambda *_: None)
    campaign = find_campaign("welcome_back", config).model_copy(update={"purpose": purpose})
    there = campaign.model_copy(
        update={"template": None, "sendgrid_templates": SendGridTemplates(en=KEPT, de=KEPT)}
    )
    for each in (campaign, there):
        mails = campaign_mail.compose_all(
            each, sender_of(config), config, cast(SendGridTransport, None)
        )
        for (_, _, ground), mail in mails.items():
            why = mail.text if isinstance(mail, Mail) else mail.why
            is_asked = "how content you are" in why or "wie zufrieden Sie sind" in why
            assert is_asked == (purpose == "survey" and ground == "consent")


def test_the_next_preview_takes_the_place_of_the_last(config: Settings) -> None:
    campaign = find_campaign("welcome_back", config)
    folder = write_previews(campaign, config).parent
    stale = folder / "fr-with-first-name-consent.html"
    stale.write_text("of yesterday")
    subject = config.campaigns / "templates" / "welcome_back" / "subject.en.txt"
    subject.write_text("<b>Less & more</b>")
    index = write_previews(campaign, config)
    assert not stale.exists()
    page = (folder / "en-with-first-name-consent.html").read_text(encoding="utf-8")
    assert "Subject: &lt;b&gt;Less &amp; more&lt;/b&gt;" in page
    assert "<h2>&lt;b&gt;Less &amp; more&lt;/b&gt;</h2>" in index.read_text(encoding="utf-8")


def test_the_label_is_within_the_body_or_on_top(config: Settings) -> None:
    body = config.campaigns / "templates" / "welcome_back" / "body.en.html"
    folder = write_previews(find_campaign("welcome_back", config), config).parent
    page = (folder / "en-with-first-name-consent.html").read_text(encoding="utf-8")
    assert page.index("<body") < page.index("made up.") < page.index("<table")
    body.write_text('Hello{% include "footer.en.html" %}')
    write_previews(find_campaign("welcome_back", config), config)
    page = (folder / "en-with-first-name-consent.html").read_text(encoding="utf-8")
    assert page.startswith("<div")
    assert page.index("made up.") < page.index("Hello")


def test_what_is_wrong_is_said_and_nothing_is_written(config: Settings) -> None:
    with pytest.raises(CampaignError, match=r"no campaign 'spring' in .*: there are welcome_back"):
        find_campaign("spring", config)
    with pytest.raises(CampaignError, match=r"no campaign '\.\./campaigns/welcome_back'"):
        find_campaign("../campaigns/welcome_back", config)
    campaign = find_campaign("welcome_back", config)
    (config.campaigns / "templates" / "footer.de.txt").write_text("nothing of what the law wants")
    with pytest.raises(CampaignError, match=r"\(de, text\) lacks the stop link"):
        write_previews(campaign, config)
    assert not config.home.exists()
    with pytest.raises(CampaignError, match="set sender_name"):
        preview(campaign, replace(config, sender_name=""))


def test_another_campaign_may_be_broken(config: Settings) -> None:
    (config.campaigns / "spring.yaml").write_text("goal: [")
    assert find_campaign("welcome_back", config).name == "welcome_back"


def test_whoever_is_made_up_has_the_shape_that_was_asked_for() -> None:
    recipients = [made_up(shape, "you@shop.example", CONFIG) for shape in SHAPES]
    assert tuple(each.shape for each in recipients) == SHAPES
    assert len({each.message_id for each in recipients}) == len(SHAPES)
    for each in recipients:
        assert headers(each)["List-Unsubscribe"] == f"<{each.unsubscribe_url}>"
        for url in (each.unsubscribe_url, each.preferences_url):
            assert is_trial(url.rpartition("/")[2])


def test_no_message_of_the_ledger_looks_like_a_trial() -> None:
    for _ in range(100):
        assert is_trial(trial_id().hex)
        assert not is_trial(uuid4().hex)
    for text in ("", "x", "0" * 64, "0" * 31, "{" + "0" * 32 + "}", "\ud800" * 32, "\u0660" * 32):
        assert not is_trial(text)
