"""What is wrong with a campaign file, in the words of somebody who writes campaigns.

Names the line and what to write instead. What a campaign is made of is `campaigns.py`.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# what YAML's parser says, and what somebody who does not know YAML does about it
_YAML_HINTS = {
    "mapping values are not allowed": (
        'put the text in quotes, since it holds a colon: goal: "Spring: they buy again"'
    ),
    "found character '\\t'": "write spaces instead of the tab",
    "that cannot start any token": "put the text in quotes",
    "could not find expected ':'": "end the key with a colon, as in `goal: …`",
}


def hint(problem: str) -> str:
    """What to do about a complaint of YAML's parser."""
    return next((mend for says, mend in _YAML_HINTS.items() if says in problem), problem)


def explain(
    file: str,
    node: yaml.Node | None,
    error: ValidationError,
    model: type[BaseModel],
    wishes: dict[str, str],
    lists: dict[str, tuple[str, ...]],
) -> str:
    """Puts every mistake of a file into one line.

    Args:
        file: Its name.
        node: What was parsed, with its lines.
        error: What the model said of it.
        model: The model.
        wishes: What to write, by key.
        lists: The words that a list may hold, by key.
    """
    problems = []
    for each in error.errors(include_url=False):
        where = tuple(each["loc"])
        key = ".".join(str(part) for part in where if not isinstance(part, int))
        wish = wishes.get(key.rpartition(".")[2])
        if each["type"] == "missing":
            mend = f"`{key}` is missing: {wish or 'write it'}"
        elif each["type"] == "extra_forbidden":
            mend = f"`{key}` is no key; the keys are {', '.join(_keys(model, where))}"
        elif where == ("name",):
            mend = "the file's name must be lower-case letters, digits and _, such as spring.yaml"
        else:
            mend = f"`{key}` is {reprlib.repr(each['input'])}: {_mend(key, each, wish, lists)}"
        problems.append(f"line {line_of(node, where)}: {mend}")
    return f"{file}, " + "; ".join(problems)


def _mend(
    key: str, problem: ErrorDetails, wish: str | None, lists: dict[str, tuple[str, ...]]
) -> str:
    given = problem["input"]
    choices = lists.get(key.rpartition(".")[2], ())
    if problem["type"] == "list_type" and isinstance(given, str):
        words = re.findall(r"\w+", given)
        if words and set(words) <= set(choices):
            return f"write [{', '.join(words)}]"
    if wish:
        return wish
    if problem["type"] == "value_error":
        return "leave out the control characters"
    return "write a text" if isinstance(given, str) else "write a text, in quotes"


def _keys(model: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
    """The keys that could stand where an unknown one does."""
    for step in where[:-1]:
        kind = model.model_fields[str(step)].annotation
        # one that may be left out is a union with None
        model = next(
            each
            for each in (kind, *get_args(kind))
            if isinstance(each, type) and issubclass(each, BaseModel)
        )
    return [key for key in model.model_fields if key != "name"]


def line_of(node: yaml.Node | None, where: tuple[Any, ...]) -> int:
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
