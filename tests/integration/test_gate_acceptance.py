"""A failed gate that a person lets pass: who may, what is kept of it, and how far it reaches."""

from __future__ import annotations

import getpass
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import great_expectations.expectations as gxe
import psycopg
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import gates_have_passed, up_to_gate
from tests.small_shop import small_shop
from winback import __main__ as command
from winback.errors import GateFailed
from winback.extract.snapshot import extract
from winback.gate import Subject, judge, run_gate, warehouse_url
from winback.gate.acceptance import NotAccepted, accept
from winback.gate.data_docs import write_page
from winback.gate.records import GateRun, UnknownRun, newest_runs, read_run
from winback.select.selection import select
from winback.settings import settings
from winback.warehouse import connection as connections

AS_OF = date(2025, 3, 1)
TWO_CURRENCIES = "update raw.orders set currency = 'USD' where order_id = 'order-3'"
ONE_CURRENCY = "update raw.orders set currency = 'EUR'"
NEGATIVE = "update raw.orders set amount_cents = -amount_cents where order_id = 'order-4'"
KEPT = ("raw.orders", "intermediate.int_states__dated")
REASON = "the order in dollars is a test order of ours"


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[tuple[Warehouse, int]]:
    """A small shop whose snapshot has passed both gates; `gated` brings it back to that."""
    with warehouse_factory("accepted") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        snapshot_id = up_to_gate(AS_OF)
        for table in KEPT:
            warehouse.execute(f"create table kept_{table.split('.')[1]} as table {table}")
        yield warehouse, snapshot_id


@pytest.fixture
def gated(built: tuple[Warehouse, int]) -> tuple[Warehouse, int]:
    """As it was right after it had passed."""
    warehouse, snapshot_id = built
    for table in KEPT:
        warehouse.execute(f"truncate {table}")
        warehouse.execute(f"insert into {table} table kept_{table.split('.')[1]}")
    warehouse.execute("truncate ops.gate_run, ops.gate_result, ops.gate_acceptance, ops.verdict")
    for table in ("ops.gate_measure", "ops.extract_run", "ops.snapshot"):
        warehouse.execute(f"delete from {table} where snapshot_id > %s", (snapshot_id,))
    run_gate("raw", snapshot_id, AS_OF)
    run_gate("marts", snapshot_id, AS_OF)
    return warehouse, snapshot_id


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls ./winback in this process; gives exit code, standard output and error."""
    # narrow: in a pipe nothing is folded, however narrow the terminal before it
    monkeypatch.setenv("COLUMNS", "40")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["winback", *arguments])
        code = command.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def fail(gate: str, snapshot_id: int) -> GateRun:
    """Runs a gate that fails; gives the run."""
    with pytest.raises(GateFailed):
        run_gate(gate, snapshot_id, AS_OF)
    return newest()


def newest() -> GateRun:
    with connections.connect("loader") as connection:
        return newest_runs(connection, 1)[0]


def let_pass(gate_run_id: int, reason: str = REASON, by: str = "ann") -> GateRun:
    with connections.connect("sender") as connection:
        return accept(connection, gate_run_id, reason, by)


def test_an_accepted_failure_counts_as_a_pass_and_the_flow_goes_on(
    gated: tuple[Warehouse, int], caplog: pytest.LogCaptureFixture
) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute(TWO_CURRENCIES)
    run = fail("raw", snapshot_id)
    assert not gates_have_passed(snapshot_id)
    accepted = let_pass(run.gate_run_id)
    assert gates_have_passed(snapshot_id)
    assert (accepted.accepted_by, accepted.reason) == ("ann", REASON)
    assert warehouse.execute(
        "select gate_run_id, accepted_by, reason, accepted_at <= now() from ops.gate_acceptance"
    ) == [(run.gate_run_id, "ann", REASON, True)]
    # the task is cleared: what is wrong is still wrong, and is let pass
    with caplog.at_level(logging.INFO):
        run_gate("raw", snapshot_id, AS_OF)
    again = newest()
    assert again.gate_run_id > run.gate_run_id
    assert (again.is_passed, again.n_failed, again.accepted_run) == (False, 1, run.gate_run_id)
    assert gates_have_passed(snapshot_id)
    assert f"because {REASON}" in " ".join(caplog.messages)
    assert "accepted on purpose by ann" in " ".join(caplog.messages)
    run_gate("marts", snapshot_id, AS_OF)
    assert select(snapshot_id, AS_OF)


def test_a_new_failure_stops_it_again(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute(TWO_CURRENCIES)
    let_pass(fail("raw", snapshot_id).gate_run_id)
    warehouse.execute(NEGATIVE)
    assert fail("raw", snapshot_id).n_failed == 2
    assert not gates_have_passed(snapshot_id)
    warehouse.execute(NEGATIVE)
    run_gate("raw", snapshot_id, AS_OF)
    assert gates_have_passed(snapshot_id)
    warehouse.execute(ONE_CURRENCY)
    run_gate("raw", snapshot_id, AS_OF)
    assert newest().is_passed


def test_it_holds_for_no_other_snapshot_and_no_other_gate(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute(TWO_CURRENCIES)
    first = fail("raw", snapshot_id)
    let_pass(first.gate_run_id)
    warehouse.execute("update intermediate.int_states__dated set as_of = as_of - 1")
    marts = fail("marts", snapshot_id)
    assert not gates_have_passed(snapshot_id)
    later = AS_OF + timedelta(days=1)
    second_snapshot = extract(later, "live")
    warehouse.execute(TWO_CURRENCIES)
    with pytest.raises(GateFailed, match="n_currencies"):
        run_gate("raw", second_snapshot, later)
    assert not gates_have_passed(second_snapshot)
    with pytest.raises(NotAccepted, match=f"is about snapshot {snapshot_id} of 2025-03-01"):
        let_pass(marts.gate_run_id)
    let_pass(newest().gate_run_id)


def test_what_can_not_be_accepted(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    passed = newest()
    with pytest.raises(NotAccepted, match="has passed: there is nothing to accept"):
        let_pass(passed.gate_run_id)
    with pytest.raises(UnknownRun, match=r"there is no gate run 999: \./winback gate list"):
        let_pass(999)
    warehouse.execute(TWO_CURRENCIES)
    outdated, run = fail("raw", snapshot_id), fail("raw", snapshot_id)
    for reason in ("", " \n"):
        with pytest.raises(NotAccepted, match="the reason is empty: say with --reason"):
            let_pass(run.gate_run_id, reason)
    with pytest.raises(NotAccepted, match=f"outdated: gate raw ran again as {run.gate_run_id}"):
        let_pass(outdated.gate_run_id)
    assert warehouse.execute("select count(*) from ops.gate_acceptance") == [(0,)]
    let_pass(run.gate_run_id)
    with pytest.raises(NotAccepted, match="was accepted already, by ann: the order in dollars"):
        let_pass(run.gate_run_id, by="bob")
    warehouse.execute("truncate raw.orders")
    empty = fail("raw", snapshot_id)
    with pytest.raises(NotAccepted, match=r"not checked at all: .*n_known.* on raw.orders: 0"):
        let_pass(empty.gate_run_id)


def test_a_backfill_is_not_accepted(gated: tuple[Warehouse, int]) -> None:
    warehouse, _ = gated
    backfill = extract(AS_OF - timedelta(days=1), "backfill")
    warehouse.execute(TWO_CURRENCIES)
    with pytest.raises(GateFailed):
        run_gate("raw", backfill, AS_OF - timedelta(days=1))
    with pytest.raises(NotAccepted, match=r"\(backfill\), but only the newest live one"):
        let_pass(newest().gate_run_id)


def test_nobody_changes_an_acceptance_afterwards(gated: tuple[Warehouse, int]) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute(TWO_CURRENCIES)
    let_pass(fail("raw", snapshot_id).gate_run_id)
    for role in ("sender", "loader", "transformer"):
        for change in (
            "update ops.gate_acceptance set accepted_by = 'eve'",
            "delete from ops.gate_acceptance",
        ):
            with (
                connections.connect(role) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(change.encode())


def test_the_commands(
    gated: tuple[Warehouse, int], call: Callable[..., tuple[int, str, str]]
) -> None:
    warehouse, snapshot_id = gated
    code, out, _ = call("gate", "show")
    assert code == 0
    assert "gate marts passed" in out
    assert "nobody on the list bought within 180 days" in out
    warehouse.execute(TWO_CURRENCIES)
    run = fail("raw", snapshot_id)
    code, out, _ = call("gate", "show")
    assert code == 0
    assert f"gate raw FAILED   run {run.gate_run_id}, snapshot {snapshot_id} of 2025-03-01" in out
    for line in (
        "  1  all feeds  n_currencies",
        "     expected     one currency in orders and their lines",
        "     seen         2 (1 of 25 rows; 24 in EUR, 1 in USD)",
        "     from         docs/naming.md, money",
        f'./winback gate accept {run.gate_run_id} --reason "…"',
    ):
        assert line in out
    assert "order-3" not in out
    assert "  o…        2024-06-21 00:00:00+00:00  USD" in out
    [statement] = [part for part in out.split('"') if part.startswith("(select")]
    assert [row[1] for row in warehouse.execute(statement)] == ["order-3"]
    page = settings().home / "gates" / f"run-{run.gate_run_id}-raw-2025-03-01-failed.html"
    assert f"page              {page}" in out
    assert page.exists()
    code, _, err = call("gate", "accept", str(run.gate_run_id), "--reason", " ")
    assert (code, err.count("\n")) == (1, 1)
    code, out, _ = call("gate", "accept", str(run.gate_run_id), "--reason", REASON)
    assert code == 0
    assert getpass.getuser() in out
    assert "./winback run winback_model" in out
    code, out, _ = call("gate", "list")
    assert f"accepted by {getpass.getuser()}" in out
    assert out.index(f" {run.gate_run_id} ") < out.index(f" {run.gate_run_id - 1} ")
    assert "FAILED, and was let pass on purpose" in call("gate", "show")[1]
    assert call("gate", "show", "999")[0] == 1


def test_before_the_first_run(
    warehouse: Warehouse, call: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = call("gate", "show")
    assert code == 1
    assert "no gate has run yet" in err


def test_the_log_says_what_the_command_says(
    gated: tuple[Warehouse, int],
    call: Callable[..., tuple[int, str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute(TWO_CURRENCIES)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="winback.gate"):
        fail("raw", snapshot_id)
    logged = [record for record in caplog.records if record.name.startswith("winback.gate")]
    assert {record.levelname for record in logged} == {"ERROR"}
    shown = call("gate", "show")[1]
    assert [record.getMessage().rstrip() for record in logged] == [
        line.rstrip() for line in shown.splitlines()
    ]


def test_pages_carry_no_values_and_the_oldest_are_cleared_away(
    gated: tuple[Warehouse, int],
) -> None:
    warehouse, snapshot_id = gated
    warehouse.execute("create table people as select 'zyxcanary' || n || '@example.com' as mail"
                      " from generate_series(1, 20) as n")  # fmt: skip
    warehouse.execute("grant select on people to winback_loader")
    meta = {"why": "a test", "source": "here"}
    subject = Subject(
        "people",
        "select mail, 'one' as word from people",
        [
            gxe.ExpectColumnValuesToBeUnique(column="word", meta=meta),
            gxe.ExpectColumnValuesToMatchRegex(column="mail", regex="^a", meta=meta),
            gxe.ExpectColumnDistinctValuesToBeInSet(column="mail", value_set=["a"], meta=meta),
            gxe.ExpectColumnDistinctValuesToEqualSet(column="mail", value_set=["a"], meta=meta),
            gxe.ExpectColumnValuesToBeInSet(column="mail", value_set=["a"], meta=meta),
        ],
    )
    judgement = judge([subject], warehouse_url())
    assert sum(not finding.is_met for finding in judgement.findings) == 5
    with connections.connect("loader") as connection:
        run = read_run(connection, newest().gate_run_id)
    folder = settings().home / "gates"
    page = write_page(folder, run, judgement.results, [])
    text = page.read_text()
    assert text.count("fa-times") > 5
    assert "zyxcanary" not in text
    assert "zyxcanary" not in str(judgement.findings)
    assert "http" not in text
    with warehouse.configured(kept_gate_pages=1):
        run_gate("marts", snapshot_id, AS_OF)
    [kept] = folder.glob("run-*.html")
    assert f"run-{newest().gate_run_id}-" in kept.name
    assert kept.name in (folder / "index.html").read_text()
    assert page.name not in (folder / "index.html").read_text()
    assert not list(folder.glob("*.part"))
