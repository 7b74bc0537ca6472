"""The simulated worlds are what they say, the judge counts right, bounds can be met and missed."""

from __future__ import annotations

import ast
import math
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PROJECT
from tests.worlds import bounds, feeds, judge, oracle, service_oracle
from tests.worlds.judge import Figure
from tests.worlds.truth import AS_OF, NEVER, Call, Customer, Fate, World, instant
from tests.worlds.world import WORLDS, make
from winback.extract.mapping.dataset import read_dataset
from winback.extract.rows.checked_rows import REASON_SEPARATOR, CheckedRows
from winback.extract.rows.validation import stored_schema
from winback.extract.sources.source_check import check_sources

FOLDER = PROJECT / "tests" / "worlds"
# what each world is there for, and how many customers of it a judgement needs
SILENT: dict[str, dict[str, int]] = {
    "regular_shop": {},
    "stockpilers": {"stocked_up": 150},
    "seasonal_shop": {"seasonal": 300, "yearly": 200},
    "service_world": {"absent": 50, "moved": 40, "household": 30},
}
# the oracle's figures may differ from those written down by what libraries round
ROUNDED = 0.002


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return make(request.param, 1)


# The worlds


def test_the_judge_shares_nothing_with_the_judged() -> None:
    imported = {}
    for path in FOLDER.glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = [
            node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
            for node in tree
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        imported[path.stem] = {name for name in names if name.startswith("winback")}
    assert len(imported) > 10
    # the keys of customers, without which no mart can be read
    assert imported.pop("calls") == {"winback.privacy.keyed_hash"}
    assert set().union(*imported.values()) == set()


def test_a_seed_makes_one_world(world: World) -> None:
    again, other = make(world.name, 1), make(world.name, 2)
    assert again.tables == world.tables
    assert [each.left for each in again.customers] == [each.left for each in world.customers]
    assert other.tables["orders"] != world.tables["orders"]


def test_nobody_buys_after_leaving(world: World) -> None:
    assert 2000 <= len(world.customers) <= 6000
    for each in world.customers:
        assert (np.diff(each.purchases) > 0).all()
        assert each.purchases[-1] < 0
        assert each.purchases[-1] <= each.left
        assert each.next_purchase is None or 0 <= each.next_purchase <= each.left
        assert (each.fate == "alive") <= (each.left >= 0)
        assert (each.fate in ("lost", "excused")) <= (each.left < 0)
        assert len(each.amounts) == len(each.quantities) == len(each.purchases)


def test_there_are_enough_of_every_fate(world: World) -> None:
    fates = [each.fate for each in world.customers]
    assert fates.count("alive") > 1000
    assert fates.count("lost") > 1000
    assert fates.count("undecided") < 0.2 * len(fates)
    reasons = [each.silent_because for each in world.customers]
    for reason, least in SILENT[world.name].items():
        assert reasons.count(reason) >= least, reason
    assert set(reasons) == {None, *SILENT[world.name]}
    for each in world.customers:
        assert each.silent_because is None or each.silent_because in each.labels


def test_large_quantities_last_long_only_where_they_are_a_stock() -> None:
    def ratio(name: str) -> float:
        after_large, after_usual = [], []
        for each in make(name, 1).customers:
            is_large = each.quantities >= 3 * np.median(each.quantities)
            gaps = np.diff(each.purchases) / each.mean_gap
            after_large += list(gaps[is_large[:-1]])
            after_usual += list(gaps[~is_large[:-1]])
        return float(np.mean(after_large) / np.mean(after_usual))

    assert ratio("stockpilers") > 3
    assert 0.9 < ratio("regular_shop") < 1.1


def test_seasons_are_kept() -> None:
    customers = make("seasonal_shop", 1).customers
    by_calendar = [each for each in customers if each.seasons > 1]
    assert len(by_calendar) > 1000
    for each in by_calendar:
        phases = (each.purchases - each.purchases[0] + 182) % 365.25 - 182
        assert np.ptp(phases) < 75
    days = np.concatenate([each.purchases for each in customers if each.seasons == 0])
    in_december = ((days + 181) % 365.25 > 334).mean() * 365.25 / 31
    assert 1.3 < in_december < 2.2


# The feeds


def test_every_row_passes_its_feed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_KEY", "test key")
    sources = feeds.write(world, tmp_path)
    dataset = read_dataset(sources, world.name, tmp_path)
    assert set(dataset.feeds) == set(world.tables)
    for found in check_sources(dataset, "UTC"):
        assert (found.problem, found.missing, found.absent, found.n_bad) == (None, {}, {}, 0)
    as_of_at = datetime.combine(AS_OF, time(), UTC)
    for feed, mapping in dataset.feeds.items():
        with tempfile.TemporaryFile() as spool:
            rows = CheckedRows(mapping, world.name, "UTC", as_of_at, None, spool)
            passed = rows.passed(stored_schema(mapping.feed), lambda batch: batch).read_all()
            rejected = [row["reasons"] for row in rows.rejected().read_all().to_pylist()]
        reasons = {reason for each in rejected for reason in each.split(REASON_SEPARATOR)}
        assert reasons == set(), feed
        # none is left out because it has not happened yet
        assert passed.num_rows == len(world.tables[feed]), feed


# The judge


def customer(
    name: str, fate: Fate, left: float = NEVER, following: float | None = None, **truth: Any
) -> Customer:
    days = np.array([-100.0, -50.0, -5.0])
    return Customer(name, "regular", fate, left, 40.0, 2.0, days, following, **truth)


LAPSED, ACTIVE = Call("inactive", True), Call("active", False)


def values(figures: list[Figure]) -> dict[str, tuple[float, int]]:
    return {figure.name: (figure.value, figure.n) for figure in figures}


def test_the_judge_counts_the_lost() -> None:
    people = {
        "found": (customer("found", "lost", -300), LAPSED),
        "cancelled": (customer("cancelled", "lost", -100), Call("cancelled", False)),
        "missed": (customer("missed", "lost", -50), ACTIVE),
        "wrong": (customer("wrong", "alive"), LAPSED),
        "right": (customer("right", "alive"), ACTIVE),
        "unknowable": (customer("unknowable", "undecided", -10), LAPSED),
        "moved": (customer("moved", "excused", -90), LAPSED),
    }
    world = World("tiny", 1, [each for each, _ in people.values()], {})
    measured = values(judge.lapsed(world, {name: call for name, (_, call) in people.items()}))
    assert measured["lapsed.recall"] == (2 / 3, 3)
    assert measured["lapsed.recall.recent"] == (1 / 2, 2)
    # found, wrong and moved are listed; only one of them is lost
    assert measured["lapsed.precision"] == (1 / 3, 3)
    assert measured["lapsed.share_of_alive"] == (1 / 2, 2)
    assert measured["lapsed.share_of_undecided"] == (1.0, 1)


def test_the_judge_counts_false_inactivity() -> None:
    stock: dict[str, Any] = {"silent_because": "stocked_up", "labels": frozenset({"stocked_up"})}
    labelled = Call("active", False, "stocked_up")
    people = {
        "labelled": (customer("labelled", "alive", **stock), labelled),
        "other": (customer("other", "alive", **stock), Call("active", False, "absent")),
        "spared": (customer("spared", "alive", **stock), ACTIVE),
        "listed": (customer("listed", "alive", **stock), LAPSED),
        "gone": (customer("gone", "lost", -90), labelled),
        "early": (customer("early", "alive", labels=frozenset({"stocked_up"})), labelled),
    }
    world = World("tiny", 1, [each for each, _ in people.values()], {})
    said = {name: call for name, (_, call) in people.items()}
    measured = values(judge.false_inactivity(world, said))
    assert measured["spared.stocked_up"] == (3 / 4, 4)
    # who is spared without a label needed none
    assert measured["labelled.stocked_up"] == (1 / 3, 3)
    assert measured["label_precision.stocked_up"] == (2 / 3, 3)
    assert measured["label_precision.absent"] == (0.0, 1)
    assert measured["excused_though_lost"] == (1.0, 1)


def test_the_judge_measures_spans() -> None:
    # the last day counts, and a missing span does not hold anything
    spans = {"hit": (5.0, 20.0), "miss": (21.0, 40.0), "none": None}
    people = [customer(name, "alive", following=20.4) for name in spans]
    late = replace(customer("late", "alive", following=20.4), mean_gap=10.0)
    world = World("tiny", 1, [*people, late], {})
    said = {name: Call("active", False, expected=span) for name, span in spans.items()}
    measured = values(judge.expected(world, said | {"late": ACTIVE}))
    assert measured["expected.coverage"] == (1 / 3, 3)
    assert measured["expected.width_days"] == (17.0, 2)


def test_the_judge_counts_reasons_and_warnings() -> None:
    told: dict[str, Any] = {"reason": "price", "has_evidence": True}
    people = {
        "right": (customer("right", "lost", -90, **told), replace(LAPSED, reason="price")),
        "wrong": (customer("wrong", "lost", -90, **told), replace(LAPSED, reason="delivery")),
        "silent": (customer("silent", "lost", -90, **told), LAPSED),
        "missed": (customer("missed", "lost", -90, **told), ACTIVE),
        "untold": (customer("untold", "lost", -90, reason="price"), LAPSED),
        "leaving": (customer("leaving", "alive", 30), replace(ACTIVE, n_signs=2)),
        "unwarned": (customer("unwarned", "alive", 90), ACTIVE),
        "later": (customer("later", "alive", 91), replace(ACTIVE, n_signs=1)),
        "staying": (customer("staying", "alive"), ACTIVE),
        "just left": (customer("just left", "undecided", -1), replace(ACTIVE, n_signs=1)),
    }
    world = World("tiny", 1, [each for each, _ in people.values()], {})
    said = {name: call for name, (_, call) in people.items()}
    measured = values(judge.reasons(world, said) + judge.warnings(world, said))
    assert measured["reason.accuracy"] == (1 / 3, 3)
    assert measured["reason.recall.price"] == (1 / 3, 3)
    assert measured["reason.unknown_without_evidence"] == (1.0, 1)
    assert measured["warnings.base_rate"] == (1 / 2, 4)
    assert measured["warnings.precision"] == (1 / 2, 2)
    assert measured["warnings.lift"] == (1.0, 2)
    assert measured["warnings.recall"] == (1 / 2, 2)
    assert measured["warnings.precision.two_signs"] == (1.0, 1)


def test_a_customer_without_a_state_is_an_error() -> None:
    world = World("tiny", 1, [customer("forgotten", "alive")], {})
    with pytest.raises(AssertionError, match="1 customers have no state, such as"):
        judge.judge(world, {})


# The bounds


def test_a_bound_has_two_ends() -> None:
    bound = bounds.Bound(oracle=0.8, at_least=0.7, at_most=0.9)
    ends = [bound.holds(Figure("x", value, 100)) for value in (0.69, 0.7, 0.9, 0.91, math.nan)]
    assert ends == [False, True, True, False, False]
    assert bound.holds(Figure("labelled.yearly", math.nan, 0)), "no label was needed"
    assert not bound.holds(Figure("labelled.yearly", 0.1, 20))


def test_a_bound_without_a_figure_is_broken() -> None:
    found = bounds.broken("regular_shop", [Figure("lapsed.recall", 0.5, 9)], "lapsed.recall")
    assert found == [
        "lapsed.recall is 0.500 and has to be ≥ 0.97",
        "lapsed.recall.one_time was not measured",
        "lapsed.recall.recent was not measured",
    ]
    line = bounds.table("regular_shop", 1, [Figure("lapsed.recall", 0.5, 9)]).splitlines()[-1]
    assert line.split() == [
        *("lapsed.recall", "0.500", "9", "≥", "0.97", "0.998", "OUT", "OF", "BOUNDS")
    ]


def test_every_world_has_bounds_that_its_oracle_meets(world: World) -> None:
    """And the oracle's figures stand beside them as they are."""
    said = oracle.calls(world)
    if world.name == "service_world":
        learnt = service_oracle.Reader(make(world.name, n) for n in service_oracle.LEARNT_FROM)
        said = service_oracle.complete(world, said, learnt)
    figures = judge.judge(world, said)
    assert bounds.broken(world.name, figures) == []
    found = {figure.name: figure.value for figure in figures}
    for name, bound in bounds.bounds_of(world.name).items():
        assert found[name] == pytest.approx(bound.oracle, rel=ROUNDED, abs=ROUNDED), name


@pytest.mark.parametrize("days", [90, 180])
def test_one_silence_for_everybody_is_out_of_bounds(world: World, days: int) -> None:
    said = {each.customer_id: LAPSED if each.silence > days else ACTIVE for each in world.customers}
    assert bounds.broken(world.name, judge.lapsed(world, said), "lapsed") != []


def test_days_become_times() -> None:
    assert instant(-0.5) == "2025-06-30T12:00:00+00:00"
