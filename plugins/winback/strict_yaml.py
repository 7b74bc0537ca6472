"""YAML that refuses what plain YAML swallows: a key that stands twice in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from winback.errors import WinbackError

Content = TypeVar("Content", bound=BaseModel)


class _StrictLoader(yaml.SafeLoader):
    """Safe, and strict about repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"`{key.value}` stands here twice: keep one", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """Reads a YAML document.

    Raises:
        yaml.YAMLError: It is not valid, or a key stands twice.
    """
    return yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader


def read(
    path: Path,
    model: type[Content],
    refused: type[WinbackError],
    explain: Callable[[ValidationError], str],
) -> Content:
    """Reads a file into the model of its content; an empty file is an empty mapping.

    Args:
        path: The file.
        model: What it may hold.
        refused: The error that is raised for it.
        explain: What is wrong with the content, and the mend.

    Raises:
        WinbackError: As `refused`: it is not there or wrong; the message names the file.
    """
    try:
        content = load(path.read_text(encoding="utf-8"))
        return model.model_validate({} if content is None else content)
    except OSError as error:
        raise refused(f"{path} can not be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise refused(f"{path.name}: no valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise refused(f"{path.name}: {explain(error)}") from error
