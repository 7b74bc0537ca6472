"""The marts against simulated worlds whose truth is known, within bounds that were written first.

Each world goes through extraction and dbt as any company's data; the tables are printed with
`./winback test tests/integration/test_worlds.py -s`. WORLDS_SEED draws other worlds, which nobody
has looked at before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.worlds import bounds, calls, feeds, judge
from tests.worlds.truth import AS_OF, Call, World
from tests.worlds.world import WORLDS, make
from winback.dbt_build import PARTS, run_part, schema_suffix
from winback.extract.snapshot import extract
from winback.model.rhythm import (
    Purchases,
    Rhythm,
    gap_sums,
    quantiles,
    quantity_ratios,
    stock_factors,
    stock_levels,
)

pytestmark = pytest.mark.timeout(300)
SEED = int(os.environ.get("WORLDS_SEED", "1"))
# the one world whose feeds tell reasons and early signs
service_alone = pytest.mark.parametrize("built", ["service_world"], indirect=True)


@dataclass(frozen=True)
class Built:
    """A world in a warehouse whose marts are built."""

    world: World
    warehouse: Warehouse

    def states(self) -> dict[str, Call]:
        """What the marts say about every customer."""
        return calls.read_states(self.world, self.warehouse.execute)

    def hold(self, figures: list[judge.Figure], *prefixes: str) -> None:
        """Prints the figures and holds them to the world's bounds of these prefixes."""
        table = bounds.table(self.world.name, self.world.seed, figures)
        sys.stdout.write(f"\n{table}\n")
        broken = bounds.broken(self.world.name, figures, *prefixes)
        assert not broken, f"{len(broken)} out of bounds:\n  " + "\n  ".join(broken) + f"\n{table}"


@pytest.fixture(scope="module", params=WORLDS)
def built(request: pytest.FixtureRequest, warehouse_factory: WarehouseFactory) -> Iterator[Built]:
    world = make(request.param, SEED)
    with warehouse_factory(world.name) as warehouse:
        sources = feeds.write(world, warehouse.data)
        warehouse.configure(sources=sources, dataset=world.name)
        snapshot_id = extract(AS_OF, "live")
        suffix = schema_suffix(snapshot_id)
        for part in PARTS:
            results = run_part(["--quiet", "run"], part, AS_OF, suffix)
            assert {status for status, _ in results.values()} == {"success"}, results
        yield Built(world, warehouse)


def test_everything_arrives(built: Built) -> None:
    counts = built.warehouse.execute(
        "select feed, n_received, n_quarantined from ops.extract_run order by feed"
    )
    expected = [(feed, len(rows), 0) for feed, rows in sorted(built.world.tables.items())]
    assert counts == expected


def test_the_lost_are_found_and_only_they(built: Built) -> None:
    built.hold(judge.lapsed(built.world, built.states()), "lapsed")


def test_silence_that_is_no_loss_is_recognised(built: Built) -> None:
    figures = judge.false_inactivity(built.world, built.states())
    built.hold(figures, "spared", "label", "excused")


def test_the_next_purchase_comes_when_expected(built: Built) -> None:
    built.hold(judge.expected(built.world, built.states()), "expected")


@pytest.mark.parametrize("built", ["stockpilers"], indirect=True)
def test_the_spans_in_sql_are_those_of_the_fit(built: Built) -> None:
    """As test_cdnow has it for a company where quantities say nothing."""
    [(parameters,)] = built.warehouse.execute(
        "select parameters from ops.model_run where model = 'rhythm'"
    )
    fitted = Rhythm(**parameters, returned_pct=None, n_gaps=0)
    # where it is 0 every level says the same
    assert fitted.stretching > 0.5
    rows = built.warehouse.execute(
        "select customer_key, purchase_date - date '1970-01-01', quantity, stock_factor,"
        " early_days, expected_days, late_days, usual_lapse_days"
        ' from intermediate.int_purchases__rhythm order by customer_key collate "C", 2'
    )
    found = np.array([row[1:] for row in rows], float).T
    customer = np.unique([row[0] for row in rows], return_inverse=True)[1]
    purchases = Purchases(customer, found[0].astype(int), found[1])
    n_gaps, sums = (each.astype(float) for each in gap_sums(purchases, fitted.quantity_elasticity))
    factors = stock_factors(quantity_ratios(purchases), fitted.quantity_elasticity)
    assert abs(factors - found[2]).max() < 1e-3
    scale = fitted.rate_days + sums
    said = quantiles(fitted, n_gaps.astype(int), stock_levels(factors))
    usual = quantiles(fitted, n_gaps.astype(int))["late"]
    is_repeat = n_gaps > 0
    for values, in_sql in zip(
        (
            *(scale * factors * each for each in said.values()),
            fitted.lapse_multiplier * scale * usual,
        ),
        found[3:],
        strict=True,
    ):
        relative = abs(values - in_sql) / np.maximum(values, 1.0)
        assert relative[is_repeat].max() < 0.01
        # what is rounded differently once is seldom
        assert (relative[is_repeat] > 1e-3).mean() < 0.01


@service_alone
def test_the_main_reason_is_the_true_one(built: Built) -> None:
    said = calls.with_reasons(built.world, built.states(), built.warehouse.execute)
    built.hold(judge.reasons(built.world, said), "reason")


@service_alone
def test_warnings_come_true(built: Built) -> None:
    said = calls.with_warnings(built.world, built.states(), built.warehouse.execute)
    built.hold(judge.warnings(built.world, said), "warnings")
