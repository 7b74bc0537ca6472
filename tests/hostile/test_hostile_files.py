"""Hostile files: each gives exactly the rows it should, or an error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.file_cases import FILES, HostileFile
from tests.hostile.passing import orders, outcome
from winback.errors import SourceError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")


def test_the_names_are_told_apart() -> None:
    assert len({case.name for case in FILES}) == len(FILES) >= 60


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_a_hostile_file(tmp_path: Path, case: HostileFile) -> None:
    path = tmp_path / f"orders.{case.ending}"
    path.write_bytes(case.content)
    mapping = orders(path, **case.how)
    if case.refused is not None:
        with pytest.raises(SourceError) as error:
            outcome(mapping)
        assert case.refused in str(error.value)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        return
    found = outcome(mapping)
    assert found.passed == case.passed
    assert found.quarantined == case.quarantined
    assert "k1" not in found.contents
