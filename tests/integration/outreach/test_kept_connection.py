"""One connection for many transactions: what becomes of them when the server ends it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Warehouse
from winback.outreach.kept_connection import KeptConnection


@pytest.fixture
def kept(warehouse: Warehouse) -> Iterator[KeptConnection]:
    warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('c', '{}')")
    kept = KeptConnection("sender")
    yield kept
    kept.close()


def backend(connection: psycopg.Connection) -> int:
    return connection.info.backend_pid


def pause(connection: psycopg.Connection) -> None:
    connection.execute("update ops.campaign set state = 'paused'")


def state(warehouse: Warehouse) -> str:
    [(found,)] = warehouse.execute("select state from ops.campaign")
    return str(found)


def end(warehouse: Warehouse, pid: int) -> None:
    assert warehouse.execute("select pg_terminate_backend(%s, 5000)", (pid,)) == [(True,)]


def test_each_block_is_a_transaction_of_the_sender(
    warehouse: Warehouse, kept: KeptConnection
) -> None:
    with kept.transaction() as connection:
        first = backend(connection)
        assert connection.execute("select current_user").fetchone() == ("winback_sender",)
        pause(connection)
        assert state(warehouse) == "running"
    assert state(warehouse) == "paused"
    with kept.transaction() as connection:
        assert backend(connection) == first


def test_what_raises_is_rolled_back(warehouse: Warehouse, kept: KeptConnection) -> None:
    with pytest.raises(LookupError), kept.transaction() as connection:
        pause(connection)
        raise LookupError
    assert state(warehouse) == "running"
    with kept.transaction() as connection:
        pause(connection)
    assert state(warehouse) == "paused"


def test_a_connection_that_ended_between_two_is_replaced(
    warehouse: Warehouse, kept: KeptConnection
) -> None:
    with kept.transaction() as connection:
        first = backend(connection)
    end(warehouse, first)
    with kept.transaction() as connection:
        assert backend(connection) != first
        assert connection.execute("select current_user").fetchone() == ("winback_sender",)
        pause(connection)
    assert state(warehouse) == "paused"


def test_one_that_ends_within_loses_the_transaction_and_says_so(
    warehouse: Warehouse, kept: KeptConnection
) -> None:
    with pytest.raises(psycopg.OperationalError), kept.transaction() as connection:
        pause(connection)
        end(warehouse, backend(connection))
    assert state(warehouse) == "running"
    with kept.transaction() as connection:
        pause(connection)
    assert state(warehouse) == "paused"
