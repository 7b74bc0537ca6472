"""Campaigns whose text is kept at the provider: checked before anything is claimed, then filled."""

from __future__ import annotations

import html
import json
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mail_flow import CAMPAIGN, MailFlow, configure, n_planned, send
from tests.unit.test_handlebars import HTML, TEXT
from tests.unit.test_message import ANNA, SENDER, TEMPLATES
from winback.errors import CampaignError, DispatchRefused
from winback.outreach.sendgrid_templates import template_request
from winback.outreach.template_mail import compose_template_mail
from winback.settings import PROJECT, settings

IDS = {"en": f"d-{1:032x}", "de": f"d-{2:032x}"}
SUBJECTS = {
    "en": "We miss you{{#if first_name}}, {{first_name}}{{/if}}",
    "de": "Wir vermissen Sie{{#if first_name}}, {{first_name}}{{/if}}",
}


def put(flow: MailFlow, language: str, **changes: Any) -> None:
    content = {"subject": SUBJECTS[language], "html_content": HTML, "plain_content": TEXT}
    answer = httpx.put(
        f"{flow.sandbox.url}/sandbox/templates/{IDS[language]}",
        json=content | changes,
        trust_env=False,
    )
    answer.raise_for_status()


@pytest.fixture
def kept(flow: MailFlow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MailFlow:
    """The campaign names templates at the provider, and good ones are there."""
    shutil.copytree(PROJECT / "campaigns", tmp_path / "campaigns")
    path = tmp_path / "campaigns" / f"{CAMPAIGN}.yaml"
    text = re.sub(
        r"^template: .*$",
        f"sendgrid_templates: {{en: {IDS['en']}, de: {IDS['de']}}}",
        path.read_text(encoding="utf-8"),
        flags=re.M,
    )
    path.write_text(text, encoding="utf-8")
    configure(flow, monkeypatch, campaigns=tmp_path / "campaigns")
    for language in IDS:
        put(flow, language)
    flow.restart()
    return flow


def newest_requests(flow: MailFlow, n: int) -> list[dict[str, Any]]:
    with sqlite3.connect(flow.sandbox.data / "sandbox.sqlite") as journal:
        rows = journal.execute(
            "select body from request where body is not null order by number desc limit ?", (n,)
        ).fetchall()
    return [json.loads(body) for (body,) in rows]


def test_the_request_names_the_template_and_gives_the_values(
    kept: MailFlow, caplog: pytest.LogCaptureFixture
) -> None:
    n, before = n_planned(kept), kept.sandbox.counts()
    with caplog.at_level("INFO"):
        assert send(kept)["accepted"] == n
    for language, template_id in IDS.items():
        assert (
            f"template {template_id} ({language}): version version-of-{template_id}" in caplog.text
        )
    n_requests = kept.sandbox.counts()["requests"] - before["requests"]
    requests = newest_requests(kept, n_requests)
    assert {each["template_id"] for each in requests} == set(IDS.values())
    people = [person for each in requests for person in each["personalizations"]]
    assert len(people) == n
    for each in requests:
        assert not each.keys() & {"content", "subject"}
        assert each["categories"] == [CAMPAIGN]
        assert not each["tracking_settings"]["click_tracking"]["enable"]
    for person in people:
        assert "substitutions" not in person
        assert person["headers"].keys() == {"List-Unsubscribe", "List-Unsubscribe-Post"}
        values = person["dynamic_template_data"]
        assert values["unsubscribe_url"] in person["headers"]["List-Unsubscribe"]
        assert values["sender_name"] == "Example Shop"
        assert values["grounded_on"] in values["why"]
        assert "%winback" not in json.dumps(values)
    assert kept.warehouse.execute("select distinct template from ops.outreach") == [
        (f"{IDS['en']} {IDS['de']}",)
    ]


def test_the_inbox_shows_it_as_the_recipient_reads_it(kept: MailFlow) -> None:
    kept.warehouse.execute("update pii.customers set first_name = '<b>Ada</b> & Bob'")
    try:
        send(kept)
    finally:
        kept.warehouse.execute("update pii.customers set first_name = null")
    inbox = httpx.get(kept.sandbox.url, trust_env=False).text
    newest = max(int(each) for each in re.findall(r"/messages/(\d+)", inbox))
    page = httpx.get(f"{kept.sandbox.url}/messages/{newest}", trust_env=False).text
    shown = re.search(r'srcdoc="([^"]*)"', page)
    assert shown
    body = html.unescape(shown[1])
    assert "&lt;b&gt;Ada&lt;/b&gt; &amp; Bob" in body
    assert "{{" not in body
    link = re.search(r'href="([^"]*/winback/unsubscribe/[^"]*)"', body)
    assert link
    assert httpx.get(link[1], trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"subject": ""}, "its subject is empty: write one"),
        ({"plain_content": " "}, "its text is empty"),
        ({"html_content": ""}, "its html is empty"),
        ({"active": 0}, "no active version: make one active"),
        ({"generation": "legacy"}, "legacy template: make a dynamic one"),
        ({"html_content": HTML.replace("{{why}}", "")}, "html: it lacks the reason"),
        (
            {"plain_content": TEXT.replace("{{unsubscribe_url}}", "")},
            "text: it lacks the stop link",
        ),
        ({"html_content": HTML + "{{{why}}}"}, "html: {{{why}}} writes HTML as it comes"),
        ({"subject": "{{{first_name}}}"}, "subject: {{{first_name}}} writes HTML"),
    ],
)
def test_a_template_by_which_nothing_may_be_sent_claims_nobody(
    kept: MailFlow, changes: dict[str, Any], problem: str
) -> None:
    n, before = n_planned(kept), kept.sandbox.counts()["requests"]
    put(kept, "de", **changes)
    with pytest.raises(CampaignError) as caught:
        send(kept)
    assert problem in str(caught.value)
    assert f"sendgrid_templates, de: {IDS['de']}" in str(caught.value)
    assert kept.states() == {"planned": n}
    assert kept.sandbox.counts()["requests"] == before
    assert kept.warehouse.execute("select max(fence) from ops.outreach") == [(0,)]


def test_a_template_that_is_not_there_or_not_shown_claims_nobody(kept: MailFlow) -> None:
    n = n_planned(kept)
    kept.sandbox.fault("error_500", request="templates")
    with pytest.raises(DispatchRefused, match=r"can not be checked \(HTTP 500\).*stay planned"):
        send(kept)
    kept.sandbox.fault("rate_limit_429", request="templates", seconds=3600)
    assert send(kept) == {}
    kept.sandbox.fault("refuse_401", request="templates")
    with pytest.raises(DispatchRefused, match=r"HTTP 401.*permission to read templates"):
        send(kept)
    path = settings().campaigns / f"{CAMPAIGN}.yaml"
    path.write_text(path.read_text().replace(IDS["en"], f"d-{9:032x}"), encoding="utf-8")
    with pytest.raises(CampaignError, match=r"sendgrid_templates, en: d-0.*9 is not there: copy"):
        send(kept)
    assert kept.states() == {"planned": n}
    path.write_text(path.read_text().replace(f"d-{9:032x}", IDS["en"]), encoding="utf-8")
    # waited for
    kept.sandbox.fault("rate_limit_429", request="templates", seconds=1)
    assert send(kept)["accepted"] == n


def test_a_message_without_a_value_it_must_carry_can_not_be_built() -> None:
    mail = compose_template_mail(TEMPLATES, IDS["en"], ANNA.shape, SENDER, has_offer=False)
    body = template_request(mail, [ANNA], SENDER, "spring")
    assert body["template_id"] == IDS["en"]
    with pytest.raises(CampaignError, match=r"the reason why it comes \(why\) is empty"):
        template_request(replace(mail, why=""), [ANNA], SENDER, "spring")
    with pytest.raises(CampaignError, match="set sender_name"):
        compose_template_mail(
            TEMPLATES, IDS["en"], ANNA.shape, replace(SENDER, postal_address=""), has_offer=False
        )
    with pytest.raises(CampaignError, match="public_url"):
        template_request(mail, [replace(ANNA, unsubscribe_url="x")], SENDER, "spring")
