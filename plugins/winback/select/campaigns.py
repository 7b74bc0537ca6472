"""Campaign files: what marketers write in `campaigns/*.yaml`, read and checked.

A wrong file is refused with its name, the line and what to write instead. Who is selected is
`selection.py`; what the templates become is `outreach/message.py`.
"""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from winback.errors import CampaignError

LANGUAGES = ("en", "de")
# only who lapsed is ever a candidate; the other states would select nobody
State = Literal["sleeping", "inactive", "angry", "cancelled"]
ValueTier = Literal["high", "medium", "low"]
HOLDOUT_PCT = (5, 50)
_LISTS = {
    "states": (
        get_args(State),
        "write one or more of [sleeping, inactive, angry, cancelled]: only they count as lapsed",
    ),
    "value_tiers": (get_args(ValueTier), "write one or more of [high, medium, low]"),
}
_WISHES = {
    "holdout_pct": "write a number such as 20, from {} to {}".format(*HOLDOUT_PCT),
    "channel": "write email",
    "audience": "write `states` and `value_tiers` below it, indented",
    "template": "write the name of its folder below templates, such as welcome_back",
}
# what YAML's parser says, and what somebody who does not know YAML does about it
_YAML_HINTS = {
    "mapping values are not allowed": (
        'put the text in quotes, since it holds a colon: goal: "Spring: they buy again"'
    ),
    "found character '\\t'": "write spaces instead of the tab",
    "that cannot start any token": "put the text in quotes",
    "could not find expected ':'": "end the key with a colon, as in `goal: …`",
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


class Campaign(BaseModel):
    """One campaign file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")
    goal: Text
    audience: Audience
    measure: Text
    channel: Literal["email"]
    template: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    holdout_pct: float = Field(ge=HOLDOUT_PCT[0], le=HOLDOUT_PCT[1])


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
            f"{path.name}, line {_line(node, ('name',))}: leave out `name`: it is the file's name"
        )
    try:
        campaign = Campaign(name=path.stem, **content)
    except ValidationError as error:
        raise CampaignError(_explain(path.name, node, error)) from error
    _require_templates(path, campaign, _line(node, ("template",)))
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
        problem = str(error.problem)
        hint = next((mend for says, mend in _YAML_HINTS.items() if says in problem), problem)
        raise CampaignError(f"{path.name}, line {line}: no valid YAML: {hint}") from error
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


def _require_templates(path: Path, campaign: Campaign, line: int) -> None:
    folder = path.parent / "templates" / campaign.template
    for language in LANGUAGES:
        for part in (f"subject.{language}.txt", f"body.{language}.txt", f"body.{language}.html"):
            if not (folder / part).is_file():
                raise CampaignError(
                    f"{path.name}, line {line}: template {campaign.template!r} lacks"
                    f" templates/{campaign.template}/{part}: write it"
                )


def _explain(name: str, node: yaml.Node | None, error: ValidationError) -> str:
    problems = []
    for each in error.errors(include_url=False):
        where = tuple(each["loc"])
        key = ".".join(str(part) for part in where if not isinstance(part, int))
        if each["type"] == "missing":
            mend = f"`{key}` is missing: write it"
        elif each["type"] == "extra_forbidden":
            mend = f"`{key}` is no key; the keys are {', '.join(_keys(where))}"
        elif where == ("name",):
            mend = "the file's name must be lower-case letters, digits and _, such as spring.yaml"
        else:
            mend = f"`{key}` is {reprlib.repr(each['input'])}: {_wish(key, each)}"
        problems.append(f"line {_line(node, where)}: {mend}")
    return f"{name}, " + "; ".join(problems)


def _wish(key: str, problem: ErrorDetails) -> str:
    """What to write instead, in the words of somebody who writes campaigns."""
    given = problem["input"]
    name = key.rpartition(".")[2]
    if name in _LISTS:
        choices, wish = _LISTS[name]
        words = re.findall(r"\w+", given) if isinstance(given, str) else []
        if problem["type"] == "list_type" and words and set(words) <= set(choices):
            return f"write [{', '.join(words)}]"
        return wish
    if name in _WISHES:
        return _WISHES[name]
    if problem["type"] == "value_error":
        return "leave out the control characters"
    return "write a text" if isinstance(given, str) else "write a text, in quotes"


def _keys(where: tuple[int | str, ...]) -> list[str]:
    model = Audience if where[0] == "audience" and len(where) > 1 else Campaign
    return [key for key in model.model_fields if key != "name"]


def _line(node: yaml.Node | None, where: tuple[Any, ...]) -> int:
    """The line on which the value at a path stands, or the innermost part of the path there is."""
    line = 1
    for step in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == step), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line
