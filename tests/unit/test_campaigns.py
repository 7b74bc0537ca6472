"""Campaign files: a mistake names the file, the line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from winback.errors import CampaignError
from winback.select.campaigns import read_campaigns
from winback.settings import PROJECT

GOOD = """\
goal: They buy again.
audience:
  states: [sleeping, inactive]
  value_tiers: [high]
measure: News.
channel: email
template: spring
holdout_pct: 20
costs:
  contact_cents: 1
  offer_cents: 500
assumed_lift_pct: 10
"""

EN = "d-0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    template = tmp_path / "templates" / "spring"
    template.mkdir(parents=True)
    for language in ("de", "en"):
        for part in (f"subject.{language}.txt", f"body.{language}.txt", f"body.{language}.html"):
            (template / part).write_text("x", encoding="utf-8")
    (tmp_path / "spring.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def test_a_good_file_is_read(folder: Path) -> None:
    [campaign] = read_campaigns(folder)
    assert (campaign.name, campaign.holdout_pct) == ("spring", 20)
    assert campaign.audience.states == ["sleeping", "inactive"]
    assert (campaign.costs.contact_cents, campaign.costs.offer_cents) == (1, 500)
    assert campaign.assumed_lift_pct == 10
    assert (campaign.template, campaign.sendgrid_templates) == ("spring", None)


def test_a_text_may_be_kept_at_the_provider(folder: Path) -> None:
    text = GOOD.replace("template: spring", f"sendgrid_templates: {{en: {EN}, de: {EN}}}")
    (folder / "spring.yaml").write_text(text, encoding="utf-8")
    [campaign] = read_campaigns(folder)
    assert campaign.template is None
    assert campaign.sendgrid_templates is not None
    assert campaign.sendgrid_templates.model_dump() == {"en": EN, "de": EN}
    assert campaign.template_name == f"{EN} {EN}"


def test_a_part_of_a_cent_and_no_offer_are_costs(folder: Path) -> None:
    text = GOOD.replace("contact_cents: 1", "contact_cents: 0.1").replace("500", "0")
    (folder / "spring.yaml").write_text(text, encoding="utf-8")
    [campaign] = read_campaigns(folder)
    assert (campaign.costs.contact_cents, campaign.costs.offer_cents) == (0.1, 0)


def test_our_own_campaigns_are_good() -> None:
    assert [each.name for each in read_campaigns(PROJECT / "campaigns")] == ["welcome_back"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("goal: They buy again.\n", "", "line 1: `goal` is missing: write it"),
        ("holdout_pct", "holdout", "line 8: `holdout` is no key; the keys are goal, audience"),
        ("  value_tiers: [high]\n", "", "line 2: `audience.value_tiers` is missing"),
        (
            "value_tiers",
            "values",
            "line 4: `audience.values` is no key; the keys are states, value_tiers",
        ),
        (
            "sleeping",
            "slepping",
            "line 3: `audience.states` is 'slepping': write one or more of [sleeping, in",
        ),
        *(
            (
                "sleeping",
                state,
                f"line 3: `audience.states` is '{state}': write one or more of"
                " [sleeping, inactive, angry, cancelled]: only they count as lapsed",
            )
            for state in ("active", "at_risk", "returned")
        ),
        (
            "[sleeping, inactive]",
            "sleeping",
            "line 3: `audience.states` is 'sleeping': write [sleeping]",
        ),
        ("[sleeping, inactive]", "sleeping, inactive", "': write [sleeping, inactive]"),
        ("[sleeping, inactive]", "all", "line 3: `audience.states` is 'all': write one or more"),
        ("[sleeping, inactive]", "", "line 3: `audience.states` is None: write one or more"),
        (
            "[high]",
            "[]",
            "line 4: `audience.value_tiers` is []: write one or more of [high, medium, low]",
        ),
        ("[high]", "[7]", "line 4: `audience.value_tiers` is 7: write one or more of [high, me"),
        ("[high]", "high", "line 4: `audience.value_tiers` is 'high': write [high]"),
        ("20", "4", "line 8: `holdout_pct` is 4: write a number such as 20, from 5 to 50"),
        ("20", "60", "line 8: `holdout_pct` is 60: write a number such as 20, from 5 to 50"),
        ("20", "20 %", "line 8: `holdout_pct` is '20 %': write a number such as 20, from"),
        ("20", "12,5", "line 8: `holdout_pct` is '12,5': write a number such as 20, from"),
        ("20", ".nan", "line 8: `holdout_pct` is nan: write a number such as 20, from"),
        ("email", "pigeon", "line 6: `channel` is 'pigeon': write email"),
        (
            "costs:\n  contact_cents: 1\n  offer_cents: 500\n",
            "",
            "line 1: `costs` is missing: write `contact_cents` and `offer_cents` below it",
        ),
        (
            "costs:\n  contact_cents: 1\n  offer_cents: 500",
            "costs: 5",
            "line 9: `costs` is 5: write",
        ),
        (
            "  contact_cents: 1\n",
            "",
            "line 9: `costs.contact_cents` is missing: write what one message costs, in cents",
        ),
        (
            "  offer_cents: 500\n",
            "",
            "line 9: `costs.offer_cents` is missing: write what the offer costs for one customer",
        ),
        (
            "offer_cents",
            "offer",
            "line 11: `costs.offer` is no key; the keys are contact_cents, offer_cents",
        ),
        (
            "contact_cents: 1",
            "contact_cents: -1",
            "line 10: `costs.contact_cents` is -1: write what",
        ),
        (
            "contact_cents: 1",
            "contact_cents: 1e10",
            "line 10: `costs.contact_cents` is '1e10': wri",
        ),
        (
            "contact_cents: 1",
            "contact_cents: 2000000000",
            "line 10: `costs.contact_cents` is 20000",
        ),
        ("contact_cents: 1", "contact_cents: .inf", "line 10: `costs.contact_cents` is inf: write"),
        ("contact_cents: 1", "contact_cents: .nan", "line 10: `costs.contact_cents` is nan: write"),
        # YAML's yes is no amount, and neither is a text
        ("contact_cents: 1", "contact_cents: yes", "line 10: `costs.contact_cents` is True: write"),
        (
            "500",
            "5,00 EUR",
            "line 11: `costs.offer_cents` is '5,00 EUR': write what the offer costs",
        ),
        ("500", '"500"', "line 11: `costs.offer_cents` is '500': write what the offer costs"),
        (
            "assumed_lift_pct: 10\n",
            "",
            "line 1: `assumed_lift_pct` is missing: write how many per cent more of them",
        ),
        (
            "lift_pct: 10",
            "lift_pct: 0",
            "line 12: `assumed_lift_pct` is 0: write how many per cent",
        ),
        ("lift_pct: 10", "lift_pct: -5", "line 12: `assumed_lift_pct` is -5: write how many per"),
        ("lift_pct: 10", "lift_pct: 1001", "line 12: `assumed_lift_pct` is 1001: write how many"),
        ("lift_pct: 10", "lift_pct: 10 %", "line 12: `assumed_lift_pct` is '10 %': write how many"),
        ("They buy again.", "''", "line 1: `goal` is '': write a text"),
        ("They buy again.", "yes", "line 1: `goal` is True: write a text, in quotes"),
        ("They", "Spring: they", "line 1: no valid YAML: put the text in quotes, since it holds"),
        ("They", "%off they", "line 1: no valid YAML: put the text in quotes"),
        ("They", "- they", "line 1: no valid YAML: "),
        ("They buy again.", "2026-02-30", "no valid YAML: day is out of range"),
        (
            "They buy again.",
            '"\\0"',
            "line 1: `goal` is '\\x00': leave out the control",
        ),
        ("They buy again.", '"\\ud800"', "line 1: `goal` is '\\ud800'"),
        ("goal:", "goal", "line 2: no valid YAML"),
        ("measure:", "name: x\nmeasure:", "line 5: leave out `name`: it is the file's name"),
        ("measure:", "goal: x\nmeasure:", "line 5: `goal` stands here twice: keep one"),
        (
            "  value_tiers",
            "  states: [inactive]\n  value_tiers",
            "line 4: `states` stands here twice",
        ),
        ("measure:", "7: x\nmeasure:", "line 5: every key must be a word"),
        ("measure:", "? [a]\n: x\nmeasure:", "line 5: no valid YAML"),
        (
            "template: spring",
            "template: ../spring",
            "line 7: `template` is '../spring': write the name",
        ),
        (
            "template: spring",
            "template: autumn",
            "line 7: template 'autumn' lacks templates/autumn/subject.en.txt: write it",
        ),
        ("template: spring\n", "", "line 1: `template` is missing: write the name of its folder"),
        ("template: spring\n", "", "or, for dynamic templates of SendGrid, `sendgrid_templates`"),
        ("template: spring", "sendgrid_templates: x", "line 7: `sendgrid_templates` is 'x': write"),
        (
            "template: spring",
            f"sendgrid_templates:\n  en: {EN}",
            "line 7: `sendgrid_templates.de` is missing: write the id of the dynamic template",
        ),
        (
            "template: spring",
            f"sendgrid_templates:\n  en: {EN}\n  de: {EN[1:]}",
            "line 9: `sendgrid_templates.de` is '-0123456789a",
        ),
        (
            "template: spring",
            f"sendgrid_templates:\n  en: {EN}\n  de: {EN}\n  fr: {EN}",
            "line 10: `sendgrid_templates.fr` is no key; the keys are en, de",
        ),
        (
            "template: spring",
            f"template: spring\nsendgrid_templates: {{en: {EN}, de: {EN}}}",
            "line 8: `sendgrid_templates` stands beside `template`: keep one of them",
        ),
        ("News.", "x\x07", "no valid YAML: unacceptable character"),
        ("goal: They", "\tgoal: They", "line 1: no valid YAML: write spaces instead of the tab"),
        ("measure:", "---\nmeasure:", "line 5: no valid YAML"),
        (GOOD, "", "line 1: write `name: value` lines"),
        (GOOD, "just text", "line 1: write `name: value` lines"),
        (GOOD, "- goal: x", "line 1: write `name: value` lines"),
        (GOOD, "[" * 5000, "no valid YAML"),
        ("They buy again.", "&a [&b [*a, *a], *b]", "line 1: `goal` is [[["),
    ],
)
def test_a_mistake_is_named_with_its_line(folder: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    (folder / "spring.yaml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CampaignError) as caught:
        read_campaigns(folder)
    message = str(caught.value)
    assert message.startswith("spring.yaml, line ")
    assert says in message
    assert "\n" not in message
    assert len(message) < 700


def test_several_mistakes_come_at_once(folder: Path) -> None:
    text = GOOD.replace("email", "pigeon").replace("20", "3")
    (folder / "spring.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CampaignError, match=r"line 6: .*; line 8: "):
        read_campaigns(folder)


@pytest.mark.parametrize(
    "part",
    [
        f"{name}.{language}.{kind}"
        for language in ("de", "en")
        for name, kind in (("subject", "txt"), ("body", "txt"), ("body", "html"))
    ],
)
def test_every_part_of_the_template_must_be_there(folder: Path, part: str) -> None:
    (folder / "templates" / "spring" / part).unlink()
    with pytest.raises(CampaignError, match=f"line 7: .*lacks templates/spring/{part}: write it"):
        read_campaigns(folder)


def test_a_file_that_is_not_utf_8_says_in_which_line(folder: Path) -> None:
    text = GOOD.replace("News.", "Grüße").encode("latin-1")
    (folder / "spring.yaml").write_bytes(text)
    with pytest.raises(CampaignError, match=r"spring\.yaml, line 5: not UTF-8; save the file as"):
        read_campaigns(folder)


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    (folder / "spring.yaml").write_text(GOOD, encoding="utf-8-sig")
    assert read_campaigns(folder)[0].goal == "They buy again."


@pytest.mark.parametrize("name", ["Spring.yaml", "spring 26.yaml", "1spring.yaml", "frühling.yaml"])
def test_the_files_name_must_be_a_name(folder: Path, name: str) -> None:
    (folder / "spring.yaml").rename(folder / name)
    with pytest.raises(CampaignError, match="the file's name must be lower-case letters"):
        read_campaigns(folder)


@pytest.mark.parametrize("name", ["autumn.yml", "autumn.YAML", "autumn.yaml.txt", "autumn.YML.TXT"])
def test_a_file_that_would_be_overlooked_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text(GOOD, encoding="utf-8")
    with pytest.raises(CampaignError, match=f"{name}: rename it to autumn.yaml"):
        read_campaigns(folder)


def test_no_campaign_and_no_folder_say_what_to_write(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CampaignError, match="holds no campaign: write one"):
            read_campaigns(folder)


def test_a_folder_with_a_files_name_is_no_campaign(folder: Path) -> None:
    (folder / "odd.yaml").mkdir()
    with pytest.raises(CampaignError, match=r"odd\.yaml: can not be read: Is a directory"):
        read_campaigns(folder)
