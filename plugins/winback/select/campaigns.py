"""Campaign files: what marketers write in `campaigns/*.yaml`, read and checked.

A wrong file is refused with its name, the line and what to write instead (`campaign_errors.py`).
Who is selected is `selection.py`; what the templates become is `outreach/message.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from winback.errors import CampaignError
from winback.select.campaign_errors import explain, hint, line_of

LANGUAGES = ("en", "de")
# only who lapsed is ever a candidate; the other states would select nobody
State = Literal["sleeping", "inactive", "angry", "cancelled"]
ValueTier = Literal["high", "medium", "low"]
HOLDOUT_PCT = (5, 50)
# above what anybody pays for one customer, and small enough to count with
MOST_CENTS = 1_000_000_000
MOST_LIFT_PCT = 1000
_LISTS: dict[str, tuple[str, ...]] = {
    "states": get_args(State),
    "value_tiers": get_args(ValueTier),
}
_WISHES = {
    "states": (
        "write one or more of [sleeping, inactive, angry, cancelled]: only they count as lapsed"
    ),
    "value_tiers": "write one or more of [high, medium, low]",
    "holdout_pct": "write a number such as 20, from {} to {}".format(*HOLDOUT_PCT),
    "channel": "write email",
    "purpose": "write marketing or survey, or leave it out",
    "is_remedy": "write true or false, or leave it out",
    "audience": "write `states` and `value_tiers` below it, indented",
    "template": "write the name of its folder below templates, such as welcome_back",
    "sendgrid_templates": "write `en` and `de` below it, indented, with the ids of the templates",
    "en": "write the id of the dynamic template, such as d-0123456789abcdef0123456789abcdef",
    "de": "write the id of the dynamic template, such as d-0123456789abcdef0123456789abcdef",
    "costs": "write `contact_cents` and `offer_cents` below it, indented",
    "contact_cents": (
        "write what one message costs, in cents, such as 1 or 0.1; without it nobody can tell"
        " whether the campaign is worth it"
    ),
    "offer_cents": (
        "write what the offer costs for one customer who takes it, in cents, such as 500;"
        " 0 if there is none"
    ),
    "assumed_lift_pct": (
        "write how many per cent more of them you expect to come back than by themselves, such as"
        f" 10: above 0, up to {MOST_LIFT_PCT}"
    ),
}


def _readable(text: str) -> str:
    # the warehouse can not store a NUL, and nobody could see the others
    if any(not (c.isprintable() or c in "\n\t") for c in text):
        raise ValueError("leave out the control characters")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(_readable)]


class Audience(BaseModel):
    """Which of the lapsed a campaign is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    states: list[State] = Field(min_length=1)
    value_tiers: list[ValueTier] = Field(min_length=1)


class Costs(BaseModel):
    """What the measure costs, in minor units of the shop's currency.

    Attributes:
        contact_cents: Of one message.
        offer_cents: Of the offer, for each of those written to who comes back, also who would have
            come by themselves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    contact_cents: float = Field(ge=0, le=MOST_CENTS, strict=True)
    offer_cents: float = Field(ge=0, le=MOST_CENTS, strict=True)


TemplateId = Annotated[str, Field(pattern=r"^d-[0-9a-f]{32}$")]


class SendGridTemplates(BaseModel):
    """Dynamic templates kept at the provider, one for each language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    en: TemplateId
    de: TemplateId


class Campaign(BaseModel):
    """One campaign file.

    Its text is ours (`template`) or kept at the provider (`sendgrid_templates`), never both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")
    goal: Text
    audience: Audience
    measure: Text
    channel: Literal["email"]
    template: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    sendgrid_templates: SendGridTemplates | None = None
    holdout_pct: float = Field(ge=HOLDOUT_PCT[0], le=HOLDOUT_PCT[1])
    costs: Costs
    assumed_lift_pct: float = Field(gt=0, le=MOST_LIFT_PCT, strict=True)
    # what the recipients must have agreed to; and whether it makes good a complaint that is open
    purpose: Literal["marketing", "survey"] = "marketing"
    is_remedy: bool = Field(default=False, strict=True)

    @property
    def template_name(self) -> str:
        """What the ledger calls the text: the folder, or the ids at the provider."""
        kept_there = self.sendgrid_templates
        return self.template or ("" if kept_there is None else f"{kept_there.en} {kept_there.de}")

    @property
    def has_offer(self) -> bool:
        """Whoever is written to gets something that others do not."""
        return self.costs.offer_cents > 0


def read_campaigns(folder: Path) -> list[Campaign]:
    """Reads every campaign file of a folder, in order of their names.

    Raises:
        CampaignError: A file is wrong, or there is none.
    """
    paths = sorted(folder.glob("*.yaml"))
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        # a file that is quietly left out would be a campaign that nobody misses
        # some editors add .txt, which file managers like to hide
        meant = Path(path.stem) if path.suffix.lower() == ".txt" else path
        if meant.suffix.lower() in (".yml", ".yaml") and path not in paths:
            raise CampaignError(f"{path.name}: rename it to {meant.stem}.yaml")
    if not paths:
        raise CampaignError(f"{folder} holds no campaign: write one, such as welcome_back.yaml")
    return [read_campaign(path) for path in paths]


def read_campaign(path: Path) -> Campaign:
    """Reads one campaign file; its name is the file's.

    Raises:
        CampaignError: The file is wrong; the message names file, line and what to write.
    """
    node, content = _parse(path)
    if not isinstance(content, dict):
        raise CampaignError(f"{path.name}, line 1: write `name: value` lines, such as `goal: …`")
    _require_plain_keys(path.name, node)
    if "name" in content:
        raise CampaignError(
            f"{path.name}, line {line_of(node, ('name',))}: leave out `name`: it is the file's name"
        )
    try:
        campaign = Campaign(name=path.stem, **content)
    except ValidationError as error:
        problems = explain(path.name, node, error, Campaign, _WISHES, _LISTS)
        raise CampaignError(problems) from error
    _require_one_text(path.name, campaign, node)
    if campaign.template is not None:
        _require_templates(path, campaign.template, line_of(node, ("template",)))
    return campaign


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CampaignError(
            f"{path.name}, line {line}: not UTF-8; save the file as UTF-8"
        ) from error
    except OSError as error:
        raise CampaignError(f"{path.name}: can not be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        mend = hint(str(error.problem))
        raise CampaignError(f"{path.name}, line {line}: no valid YAML: {mend}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # a control character, a date such as 2026-02-30, brackets without end
        why = str(error).strip().splitlines()[0]
        raise CampaignError(f"{path.name}, line 1 or later: no valid YAML: {why}") from error


def _require_plain_keys(name: str, node: yaml.Node | None) -> None:
    """YAML takes any key, and of two that are the same silently the last."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise CampaignError(f"{name}, line {line}: every key must be a word, such as `goal`")
        if key.value in seen:
            raise CampaignError(f"{name}, line {line}: `{key.value}` stands here twice: keep one")
        seen.add(key.value)
        _require_plain_keys(name, value)


def _require_one_text(file: str, campaign: Campaign, node: yaml.Node | None) -> None:
    if campaign.template is None and campaign.sendgrid_templates is None:
        raise CampaignError(
            f"{file}, line 1: `template` is missing: {_WISHES['template']}; or, for dynamic"
            " templates of SendGrid, `sendgrid_templates`"
        )
    if campaign.template is not None and campaign.sendgrid_templates is not None:
        line = line_of(node, ("sendgrid_templates",))
        raise CampaignError(
            f"{file}, line {line}: `sendgrid_templates` stands beside `template`: keep one of them"
        )


def _require_templates(path: Path, template: str, line: int) -> None:
    folder = path.parent / "templates" / template
    for language in LANGUAGES:
        for part in (f"subject.{language}.txt", f"body.{language}.txt", f"body.{language}.html"):
            if not (folder / part).is_file():
                raise CampaignError(
                    f"{path.name}, line {line}: template {template!r} lacks"
                    f" templates/{template}/{part}: write it"
                )
