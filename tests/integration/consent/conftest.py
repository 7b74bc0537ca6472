"""What the tests of consent share: an empty shop with the country rules that are shipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.consent_shop import TABLES, Shop
from winback.privacy import country_rules
from winback.settings import settings


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("consent") as warehouse:
        country_rules.store(country_rules.read(settings().country_rules))
        yield warehouse


@pytest.fixture
def shop(built: Warehouse) -> Shop:
    built.execute(f"truncate {TABLES} restart identity cascade")
    return Shop(built)
