"""Waiting for locks, for tests of who waits for whom."""

from __future__ import annotations

import time

from tests.conftest import Warehouse


def wait_until_somebody_waits(warehouse: Warehouse) -> None:
    """Until a statement in this database waits for a lock."""
    deadline = time.monotonic() + 30
    while warehouse.execute(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database()"
    ) == [(0,)]:
        assert time.monotonic() < deadline, "nobody waits for a lock"
        time.sleep(0.02)
