"""Country rules, the register of recipients, and the mail that asks for a consent."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_guarantees import NAMED, missing
from winback.errors import CampaignError, DispatchRefused, SettingsError
from winback.outreach.message import Mail, Sender
from winback.privacy import country_rules, recipients
from winback.privacy.keyed_hash import normalise_email
from winback.privacy.opt_in_mail import compose_request, consent_text
from winback.privacy.opt_in_request import AGREED, ASKED, PURPOSES
from winback.record import opt_in, unsubscribe
from winback.settings import PROJECT, Settings, load

SENDER = Sender("Müller & Söhne <Records>", "shop@example.com", "1 Example Street, 10115 Berlin")
TEMPLATES = PROJECT / "campaigns" / "templates"
CONFIRM, STOP = "https://shop.example/opt-in/x", "https://shop.example/unsubscribe/y"


# Country rules


def test_the_shipped_rules_are_those_that_the_tests_prove_per_country() -> None:
    rules = country_rules.read(PROJECT / "config" / "country_rules.yaml")
    found = {(country, channel, kind, ground) for country, channel, kind, ground, _ in rules.rows()}
    both = ("consumer", "business")
    assert found == {
        *(("DE", "email", kind, "existing_customer") for kind in both),
        *(("CH", "email", kind, "existing_customer") for kind in both),
        ("DE", "phone", "business", "presumed_consent"),
        *(
            (land, "letter", kind, "until_objection")
            for land in ("DE", "AT", "CH")
            for kind in both
        ),
    }
    assert all(law.strip() for *_, law in rules.rows())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("DE: {email: {consumer: {expected: x}}}", "DE.email.consumer.expected"),
        ("DE: {fax: {consumer: {until_objection: x}}}", "DE.fax"),
        ("DE: {email: {everybody: {until_objection: x}}}", "DE.email.everybody"),
        ("Germany: {email: {consumer: {until_objection: x}}}", "Germany"),
        ("DE: {email: {consumer: {until_objection: ''}}}", "until_objection"),
        ("DE: {email: {consumer: [until_objection]}}", "DE.email.consumer"),
        (
            "DE: {email: {consumer: {until_objection: x}}}",
            "`DE.email.consumer`: until_objection allows no message; existing_customer alone",
        ),
        ("DE: {email: {business: {presumed_consent: x}}}", "DE.email.business`: presumed_consent"),
        (
            "AT: {letter: {consumer: {existing_customer: x}}}",
            "`AT.letter.consumer`: existing_customer allows no message; presumed_consent or",
        ),
        ("[DE]", "the file"),
        ("DE: {}\nDE: {}", "stands here twice"),
        ("DE: {", "no valid YAML"),
    ],
)
def test_wrong_country_rules_are_refused_with_the_place(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "country_rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        country_rules.read(path)
    assert says in str(caught.value)
    assert "country_rules.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_allows_nothing_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n", encoding="utf-8")
    assert country_rules.read(tmp_path / "empty.yaml").rows() == []
    with pytest.raises(SettingsError, match="can not be read"):
        country_rules.read(tmp_path / "missing.yaml")


# The register of recipients

ENTRY = {
    "name": "A mail provider",
    "host": "api.mail.example",
    "role": "processor",
    "contract": "folder 12",
    "contract_on": "2026-01-15",
    "region": "EU",
    "ground_of_transfer": "none needed",
}


def sending(tmp_path: Path, *entries: dict[str, Any], url: str = "") -> Settings:
    """Settings whose register has these entries."""
    path = tmp_path / "recipients.yaml"
    path.write_text(yaml.safe_dump({"recipients": list(entries)}), encoding="utf-8")
    return load({"recipients": str(path), "sendgrid_url": url or "https://api.mail.example"}, {})


def test_the_shipped_register_claims_no_contract_that_nobody_signed(tmp_path: Path) -> None:
    path = PROJECT / "config" / "recipients.yaml"
    assert recipients.read(path).recipients == []
    # the entry that it shows as an example is one that would do
    example = path.read_text(encoding="utf-8").partition("#\n# recipients:")[2]
    lines = [line.removeprefix("# ") for line in example.splitlines() if line.startswith("# ")]
    (tmp_path / "r.yaml").write_text("recipients:\n" + "\n".join(lines), encoding="utf-8")
    config = load({"recipients": str(tmp_path / "r.yaml")}, {})
    recipients.require_mail_provider(replace(config, sendgrid_url="https://api.eu.sendgrid.com"))


def test_without_an_entry_nothing_is_sent(tmp_path: Path) -> None:
    config = sending(tmp_path)
    with pytest.raises(
        DispatchRefused, match=r"recipients\.yaml names no contract .*nothing is"
    ) as e:
        recipients.require_mail_provider(config)
    assert "add an entry with that host, role processor" in str(e.value)
    recipients.require_mail_provider(sending(tmp_path, ENTRY))
    with pytest.raises(DispatchRefused, match=r"at api\.sendgrid\.com"):
        # SendGrid's other region is another host, and another transfer
        recipients.require_mail_provider(
            sending(
                tmp_path, ENTRY | {"host": "api.eu.sendgrid.com"}, url="https://api.sendgrid.com"
            )
        )


def test_the_host_outside_the_eu_takes_a_ground_of_transfer(tmp_path: Path) -> None:
    entry = ENTRY | {
        "host": "api.sendgrid.com", "region": "US", "ground_of_transfer": "standard clauses",
    }  # fmt: skip
    recipients.require_mail_provider(sending(tmp_path, entry, url="https://api.sendgrid.com"))


def test_the_sandbox_needs_no_entry_and_a_relay_on_this_machine_does(tmp_path: Path) -> None:
    config = sending(tmp_path, url="http://127.0.0.1:8025")
    recipients.require_mail_provider(config)
    with pytest.raises(
        DispatchRefused, match=r"no contract with the mail provider at 127\.0\.0\.1"
    ):
        recipients.require_mail_provider(replace(config, mail_transport="sendgrid"))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"role": "recipient"}, "its role is processor"),
        ({"contract_on": str(date.today() + timedelta(days=2))}, "nothing is sent before"),
    ],
)
def test_an_entry_must_be_a_contract_in_force(
    tmp_path: Path, changed: dict[str, str], says: str
) -> None:
    with pytest.raises(DispatchRefused, match=says):
        recipients.require_mail_provider(sending(tmp_path, ENTRY | changed))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"role": "friend"}, "recipients.0.role"),
        ({"contract_on": "soon"}, "recipients.0.contract_on"),
        ({"region": "US"}, "region US needs a ground of transfer"),
        ({"host": "api.sendgrid.com"}, "api.sendgrid.com is not in the EU: set host and sendgr"),
        ({"contract": ""}, "recipients.0.contract"),
        ({"contract": " "}, "recipients.0.contract"),
        (
            {"contract": "None"},
            "recipients.0.contract`: 'None' names nothing: write what you signed",
        ),
        ({"region": "US", "ground_of_transfer": "None needed"}, "region US needs a ground"),
        ({"region": "US", "ground_of_transfer": " "}, "recipients.0.ground_of_transfer"),
        (
            {"region": "US", "ground_of_transfer": "none"},
            "ground_of_transfer`: 'none' names nothing",
        ),
        ({"phone": "1"}, "recipients.0.phone"),
    ],
)
def test_a_wrong_entry_is_refused_with_the_place(
    tmp_path: Path, changed: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        recipients.require_mail_provider(sending(tmp_path, ENTRY | changed))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


# The mail that asks


def composed(language: str, folder: Path = TEMPLATES, purpose: str = "marketing") -> Mail:
    text = consent_text(folder, purpose, language, SENDER, 24)
    return compose_request(
        folder, text, SENDER, confirm_url=CONFIRM, stop_url=STOP,
        requested_on=date(2026, 3, 1), expires_on=date(2026, 3, 15),
    )  # fmt: skip


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    ("language", "asked", "until"),
    [("de", "1. März 2026", "15. März 2026"), ("en", "March 1, 2026", "March 15, 2026")],
)
def test_the_mail_asks_and_does_not_advertise(
    language: str, asked: str, until: str, purpose: str
) -> None:
    text = consent_text(TEMPLATES, purpose, language, SENDER, 24)
    mail = composed(language, purpose=purpose)
    assert mail.subject
    for part in (mail.text, unescape(mail.html)):
        for needed in (SENDER.name, SENDER.postal_address, text.content, asked, until):
            assert needed in part
    # nowhere to go but to confirm, or not to be asked again
    links = re.findall(r"https?://[^\s\"<]+", mail.text)
    assert links == [CONFIRM, STOP]
    assert re.findall(r'(?:href|src)="([^"]+)"', mail.html) == [CONFIRM, STOP]
    assert "<img" not in mail.html


def test_the_words_name_advertiser_channel_goods_and_duration() -> None:
    german = consent_text(TEMPLATES, "marketing", "de", SENDER, 24).content
    english = consent_text(TEMPLATES, "marketing", "en", SENDER, 24).content
    for words, named in (
        (german, ("per E-Mail", "Sortiment", "24 Monate", "widerrufen", SENDER.name)),
        (english, ("by e-mail", "range", "24 months", "take it back", SENDER.name)),
    ):
        for each in named:
            assert each in words


def test_other_words_are_another_version() -> None:
    versions = {
        consent_text(TEMPLATES, purpose, language, sender, months).version
        for purpose in PURPOSES
        for language in ("de", "en")
        for sender in (SENDER, replace(SENDER, name="Another"))
        for months in (24, 12)
    }
    assert len(versions) == 16
    again = consent_text(TEMPLATES, "marketing", "de", SENDER, 24)
    assert again.version in versions
    assert re.fullmatch(r"marketing-de-[0-9a-f]{12}", again.version)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("consent.marketing.de.txt", "{{ sender_name }}", "wir", "does not name the advertiser"),
        ("consent.marketing.de.txt", "E-Mail", "Post", "does not name the channel"),
        (
            "consent.marketing.de.txt",
            "{{ consent_unused_months }}",
            "124",
            "does not say for how long",
        ),
        ("body.de.txt", "{{ confirm_url }}", "", "body.de.txt lacks {{ confirm_url }}"),
        ("body.de.txt", "{{ sender_postal_address }}", "", "lacks {{ sender_postal_address }}"),
        ("body.de.txt", "{{ consent }}", "OK?", "body.de.txt lacks {{ consent }}"),
        ("body.de.html", "{{ consent }}", "20 %", "body.de.html lacks {{ consent }}"),
        ("body.de.html", "{{ sender_postal_address }}", "", "html lacks {{ sender_postal_address"),
        ("body.de.html", '<a href="{{ stop_url }}"', "<!-- {{ stop_url }} --><a", "as <a href="),
        ("body.de.html", 'a href="{{ confirm_url }}"', 'p id="{{ confirm_url }}"', "{{ confirm_u"),
        ("subject.de.txt", "Bitte", "{{ nonsense }}", "'nonsense' is undefined"),
        ("body.de.html", "layout.html", "nowhere.html", "nowhere.html"),
    ],
)
def test_a_template_that_lacks_something_is_refused(
    tmp_path: Path, file: str, old: str, new: str, says: str
) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    path = tmp_path / "templates" / "opt_in" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CampaignError) as caught:
        composed("de", tmp_path / "templates")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


# Tokens and addresses


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


@pytest.mark.usefixtures("key")
def test_a_token_confirms_what_it_was_made_for_and_nothing_else() -> None:
    request_id = UUID("12345678-90ab-4def-8123-4567890abcde")
    good = opt_in.token(request_id)
    assert opt_in.request_of(good) == request_id
    assert good.isalnum() and good.isascii()
    # a link to unsubscribe agrees to nothing, and one to confirm unsubscribes nobody
    assert opt_in.request_of(unsubscribe.token(request_id)) is None
    assert unsubscribe.message_of(good) is None
    for position, character in enumerate(good):
        other = "0" if character != "0" else "1"
        assert opt_in.request_of(good[:position] + other + good[position + 1 :]) is None
    for text in ("", "x", "0" * 64, "ä" * 64, "\ud800" * 64, good.upper(), good + "0", good[:-1]):
        assert opt_in.request_of(text) is None


@pytest.mark.parametrize(
    ("written", "hashed"),
    [
        (" Ada@Example.COM\t", "ada@example.com"),
        ("ada@example.com", "ada@example.com"),
        # what providers do with dots and plus parts is theirs; other addresses stay other ones
        ("ada+shop@example.com", "ada+shop@example.com"),
        ("a.d.a@example.com", "a.d.a@example.com"),
        ("JÜRGEN@example.com", "jürgen@example.com"),
        # the same letter, written as two
        ("ju\u0308rgen@example.com", "jürgen@example.com"),
        # the same domain, as people write it and as the DNS has it
        ("ada@Müller.de", "ada@xn--mller-kva.de"),
        ("ada@XN--MLLER-KVA.de", "ada@xn--mller-kva.de"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@\u200d.example", "ada@\u200d.example"),
        ("ohne at: ü", "ohne at: ü"),
    ],
)
def test_how_an_address_is_normalised(written: str, hashed: str) -> None:
    assert normalise_email(written) == hashed


@given(st.emails())
def test_normalising_twice_is_normalising_once(address: str) -> None:
    once = normalise_email(address)
    assert normalise_email(once) == once
    assert normalise_email(f"  {address.upper()} ") == normalise_email(address.upper())


# The page of the rules

PAGE = (PROJECT / "docs" / "consent.md").read_text(encoding="utf-8")


def test_each_rule_of_the_page_names_tests_that_exist() -> None:
    assert missing(PAGE) == []
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    headings = ("| law |", "| rule |", "| wish |", "| reas", "| what stays |")
    rules = [row for row in rows if not row.startswith(headings)]
    assert len(rules) > 25
    assert [row for row in rules if not NAMED.search(row)] == []


# the arrays of a verdict, what is added to one, and what speaks against all of a campaign
MADE = re.compile(r"array_remove\(array\[\n(.*?)\n\s*\], null\)", re.DOTALL)
ADDED = re.compile(r"array\['(\w+)'\]|exclude_all\(\s*connection,\s*\"(\w+)\"")
# those of a message that was planned, which no verdict has
OF_MESSAGES = {"erased", "campaign_cancelled"}


def reasons_made() -> set[str]:
    """Every reason that a verdict may have, wherever the code makes it."""
    made = {AGREED, ASKED}
    for path in (PROJECT / "plugins" / "winback").rglob("*"):
        if path.suffix in (".py", ".sql"):
            text = path.read_text(encoding="utf-8")
            for array in MADE.findall(text):
                made.update(re.findall(r"then '(\w+)' end", array))
            made.update(one or other for one, other in ADDED.findall(text))
    return made


def test_each_reason_stands_on_the_page_and_has_its_name() -> None:
    made = reasons_made()
    assert {"objected", "lapse_over", "not_wanted", "audience_jumped"} < made
    assert {reason for reason in made if f"`{reason}`" not in PAGE} == set()
    naming = (PROJECT / "docs" / "naming.md").read_text(encoding="utf-8")
    table = naming.partition("## Reasons for not writing")[2].partition("\n## ")[0]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("| ") and not row.startswith("| reason ")
        for name in row.split("|")[1].strip().split(", ")
    }
    assert named == made | OF_MESSAGES
