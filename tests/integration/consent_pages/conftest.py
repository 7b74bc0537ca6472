"""What the tests of the links in messages share: a small shop, and people nobody has asked yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SandboxFactory, WarehouseFactory
from tests.consent_pages import ASKED, GERMAN, OTHER, REFUSING
from tests.mail_flow import AS_OF, MailFlow, mail_flow
from tests.small_shop import small_shop


@pytest.fixture(scope="module")
def built(
    warehouse_factory: WarehouseFactory, sandbox_factory: SandboxFactory
) -> Iterator[MailFlow]:
    shop = small_shop(Path("set by mail_flow"), AS_OF)
    for name in (ASKED, OTHER, REFUSING, GERMAN):
        shop.add(name, 300, locale="de_DE" if name == GERMAN else "en_GB")
        shop.consents.pop()
    with mail_flow(warehouse_factory, sandbox_factory, shop=shop) as flow:
        yield flow


@pytest.fixture
def flow(built: MailFlow) -> MailFlow:
    built.warehouse.execute(
        "truncate ops.event, ops.opt_in_request, ops.consent_text, ops.contact_preference"
        " restart identity"
    )
    built.restart()
    return built
