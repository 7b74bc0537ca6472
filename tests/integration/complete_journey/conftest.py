"""The data of The Complete Journey, downloaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import PROJECT
from winback.demo import complete_journey
from winback.errors import SourceError


@pytest.fixture(scope="session")
def journey() -> Path:
    """The folder with the data, called as the sources file calls it."""
    folder = PROJECT / ".winback" / "data" / "completejourney"
    try:
        complete_journey.provide(folder)
    except SourceError as error:
        pytest.skip(f"no data of The Complete Journey: {error}")
    return folder
