"""Somebody is erased while a list is being written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Warehouse
from tests.locks import wait_until_somebody_waits
from tests.unit.test_lists import AS_OF, fill
from winback.outreach import lists
from winback.privacy.erasure import Erased, erase
from winback.settings import settings


@pytest.fixture
def erase_while_writing(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Any]], Erased]:
    """Does something that writes a list, and begins an erasure once its rows are read."""

    def run(write: Callable[[], Any]) -> Erased:
        make, begun = tempfile.mkstemp, list[Future[Erased]]()

        def erase_first(*arguments: Any, **more: Any) -> Any:
            if not begun:
                begun.append(pool.submit(erase, "c0", "shop", "me", settings()))
                wait_until_somebody_waits(warehouse)
            return make(*arguments, **more)

        monkeypatch.setattr(tempfile, "mkstemp", erase_first)
        with ThreadPoolExecutor(1) as pool:
            write()
            return begun[0].result(60)

    return run


def test_nobody_who_was_erased_stays_on_a_list(
    warehouse: Warehouse, erase_while_writing: Callable[[Callable[[], Any]], Erased]
) -> None:
    fill(warehouse, ["Ada", "Bob"])
    folder = settings().home / "lists"
    path, _ = lists.write_list(folder, "spring", AS_OF)
    assert erase_while_writing(lambda: lists.write_list(folder, "spring", AS_OF)).is_new
    text = Path(path).read_text(encoding="utf-8")
    assert ("c0@example.com" in text, "c1@example.com" in text) == (False, True)


def test_no_verdict_of_a_list_is_kept_of_who_was_erased(
    warehouse: Warehouse, erase_while_writing: Callable[[Callable[[], Any]], Erased]
) -> None:
    fill(warehouse, ["Ada", "Bob"])
    folder = settings().home / "lists"
    lists.write_list(folder, "spring", AS_OF)
    warehouse.execute("update raw.consents set withdrawn_at = now() where customer_key = 'c0'")
    assert erase_while_writing(lambda: lists.refresh_lists(folder)).is_new
    assert warehouse.execute("select customer_key from ops.verdict") == []
