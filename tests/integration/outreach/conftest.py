"""What the tests of outreach share: a small shop, selected anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.mail_flow import MailFlow, mail_flow


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    with mail_flow(warehouse_factory, sandbox_factory) as flow:
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> Iterator[MailFlow]:
    selected = built.restart()
    assert selected.n_planned == selected.n_treated > 10
    yield built
    # whatever a test did: nobody got a message twice
    assert built.sandbox.counts()["max_per_key"] <= 1
