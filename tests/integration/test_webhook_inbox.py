"""The webhook's inbox: batches are stored whatever became of the connections in between."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import Warehouse
from winback.errors import ServerError
from winback.record import webhook


def bodies(warehouse: Warehouse) -> list[bytes]:
    rows = warehouse.execute("select body from pii.webhook_inbox order by inbox_id")
    return [bytes(body) for (body,) in rows]


def end_others(warehouse: Warehouse) -> int:
    [(n,)] = warehouse.execute(
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    return int(n)


def test_a_connection_is_used_again(warehouse: Warehouse) -> None:
    for n in range(5):
        webhook.keep(b"%d" % n)
    assert bodies(warehouse) == [b"0", b"1", b"2", b"3", b"4"]
    assert end_others(warehouse) == 1


def test_connections_that_the_server_ended_are_replaced(warehouse: Warehouse) -> None:
    webhook.keep(b"before")
    assert end_others(warehouse) == 1
    webhook.keep(b"after")
    webhook.keep(b"later")
    assert bodies(warehouse) == [b"before", b"after", b"later"]


def test_many_at_once_are_each_stored_once(warehouse: Warehouse) -> None:
    sent = [b"%d" % n for n in range(40)]
    threads = [threading.Thread(target=webhook.keep, args=(body,)) for body in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bodies(warehouse)) == sorted(sent)


def test_a_failed_insert_is_told_and_leaves_no_connection_behind(warehouse: Warehouse) -> None:
    webhook.keep(b"first")
    warehouse.execute("alter table pii.webhook_inbox rename to elsewhere")
    with pytest.raises(Exception, match="does not exist"):
        webhook.keep(b"second")
    assert end_others(warehouse) == 0
    warehouse.execute("alter table pii.elsewhere rename to webhook_inbox")
    webhook.keep(b"third")
    assert bodies(warehouse) == [b"first", b"third"]


def test_no_warehouse_is_told(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "postgresql://nobody:x@127.0.0.1:1/none"
    monkeypatch.setenv("AIRFLOW_CONN_WINBACK_WAREHOUSE", nowhere)
    with pytest.raises(ServerError, match="does not answer"):
        webhook.keep(b"lost")
