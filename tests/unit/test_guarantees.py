"""What docs/guarantees.md claims to be proved is tested by tests that exist."""

from __future__ import annotations

import ast
import re

from tests.conftest import PROJECT

TEXT = (PROJECT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def missing(text: str) -> list[str]:
    """The tests that a text names and nobody wrote."""
    found = []
    for file, name in NAMED.findall(text):
        path = PROJECT / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.parse("")
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            found.append(f"{file}::{name}")
    return found


def test_the_tests_it_names_exist() -> None:
    assert missing(TEXT) == []


def test_a_test_that_nobody_wrote_is_noticed() -> None:
    there, gone = "test_the_tests_it_names_exist", "test_gone"
    text = "".join(f"`tests/unit/test_guarantees.py::{name}`" for name in (there, gone))
    assert missing(text + "`tests/gone.py::test_a`") == [
        "tests/unit/test_guarantees.py::test_gone",
        "tests/gone.py::test_a",
    ]


def test_every_row_of_the_table_names_its_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    assert [row for row in rows[1:] if not NAMED.search(row)] == []


def test_the_guarantee_stands_in_its_words() -> None:
    words = "at most once per key, unless a person orders a resend; nothing vanishes; unknowns are"
    assert words in " ".join(TEXT.replace("**", "").split()).lower()


def test_every_fault_test_stands_in_the_table() -> None:
    named = set(NAMED.findall(TEXT))
    for path in sorted((PROJECT / "tests" / "faults").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert (f"tests/faults/{path.name}", node.name) in named
