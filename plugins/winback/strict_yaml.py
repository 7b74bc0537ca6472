"""YAML that refuses what plain YAML swallows: a key that stands twice in one place."""

from __future__ import annotations

from typing import Any

import yaml


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
