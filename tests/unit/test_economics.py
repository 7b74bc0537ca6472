"""The rule CRC / CLV < 1: figures worked out by hand, and what has no figure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Warehouse, WarehouseFactory

PARTS = "p_treated, cost_cents, worth_cents, profit_cents, crc_cents, ratio"
CASTS = ", ".join(["%s::numeric"] * 5)


@pytest.fixture(scope="module")
def shared(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("economics") as warehouse:
        yield warehouse


def test_a_mail_without_an_offer_as_worked_out_by_hand(shared: Warehouse) -> None:
    # 5.5 instead of 5 in a hundred come; 1 cent / 0.005 = 2.00; 41.00 * 0.005 = 20.5 cents
    [row] = shared.execute(
        f"select {PARTS}, finding from ops.recovery_economics(0.05, 4100, 10, 1, 0)"
    )
    assert list(map(str, row)) == [
        "0.055000000", "1.0000", "20.5000", "19.5000", "200.0000", "0.048780", "returns_more",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("of", "parts", "finding"),
    [
        # 5.00 is taken by all 5.5 in a hundred: 1 + 27.5 cents; / 0.005 = 57.00 of 41.00
        ((0.05, 4100, 10, 1, 500), (0.055, 28.5, 20.5, -8, 5700, 1.390244), "costs_more"),
        # on the edge: 20.5 / 0.005 = 41.00 of 41.00
        ((0.05, 4100, 10, 20.5, 0), (0.055, 20.5, 20.5, 0, 4100, 1), "costs_more"),
        ((0.05, 4100, 10, 20.4, 0), (0.055, 20.4, 20.5, 0.1, 4080, 0.995122), "returns_more"),
        ((0.05, 4100, 10, 0, 0), (0.055, 0, 20.5, 20.5, 0, 0), "returns_more"),
        # nothing is known
        ((None, 4100, 10, 1, 500), (None,) * 6, "no_score"),
        ((0.05, None, 10, 1, 500), (None,) * 6, "no_score"),
        ((None, None, 10, 1, 500), (None,) * 6, "no_score"),
        # ten per cent more of nobody; no lift; a measure that drives people away
        ((0, 4100, 10, 1, 500), (0, 1, 0, -1, None, None), "nobody_more_returns"),
        ((0.05, 4100, 0, 1, 500), (0.05, 26, 0, -26, None, None), "nobody_more_returns"),
        ((0.05, 4100, 0, 0, 0), (0.05, 0, 0, 0, None, None), "nobody_more_returns"),
        ((0.05, 4100, -20, 1, 500), (0.04, 21, -41, -62, None, None), "nobody_more_returns"),
        ((0.05, 4100, -100, 1, 500), (0, 1, -205, -206, None, None), "nobody_more_returns"),
        # worth nothing once back, or less
        ((0.05, 0, 10, 1, 0), (0.055, 1, 0, -1, 200, None), "no_value"),
        ((0.05, -100, 10, 1, 0), (0.055, 1, -0.5, -1.5, 200, None), "no_value"),
        # nobody is surer than sure: 0.999999, and 1 stays 1
        (
            (0.95, 4100, 10, 1, 0),
            (0.999999, 1, 204.9959, 203.9959, 20.0004, 0.004878),
            "returns_more",
        ),
        ((1, 4100, 10, 1, 500), (1, 501, 0, -501, None, None), "nobody_more_returns"),
        # the dearest campaign for the likeliest to stay away, who would bring all there is
        (
            (0.000001, 9_000_000_000_000_000, 1000, 1_000_000_000, 1_000_000_000),
            (0.000011, 1_000_011_000, 9e10, 88_999_989_000, 100_001_100_000_000, 0.011111),
            "returns_more",
        ),
        # the other way round: the costs of a life for a cent
        (
            (0.000001, 1, 0.1, 1_000_000_000, 0),
            (0.000001001, 1e9, 0, -1e9, 1e18, 1e18),
            "costs_more",
        ),
    ],
)
def test_figures_worked_out_by_hand(
    shared: Warehouse,
    of: tuple[float | None, ...],
    parts: tuple[float | None, ...],
    finding: str,
) -> None:
    [row] = shared.execute(f"select {PARTS}, finding from ops.recovery_economics({CASTS})", of)
    *figures, found = row
    assert found == finding
    for figure, expected in zip(figures, parts, strict=True):
        told = figure if figure is None else float(figure)
        assert told == (expected if expected is None else pytest.approx(expected, abs=5e-7))


def test_the_rule_and_the_profit_never_contradict_each_other(shared: Warehouse) -> None:
    """CRC / CLV < 1 says the same as a profit above nothing, whatever the parts."""
    [(n, n_contradicting, n_worth_it)] = shared.execute(
        "select count(*),"
        " count(*) filter (where (finding = 'returns_more') <> (profit_cents > 0)),"
        " count(*) filter (where finding = 'returns_more')"
        " from unnest(array[0, 0.000001, 0.013, 0.2, 0.95, 0.999999, 1]) as p,"
        " unnest(array[0, 1, 37, 4100, 1000000]) as clv,"
        " unnest(array[0, 0.3, 10, 250]) as lift,"
        " unnest(array[0, 0.1, 7, 300]) as contact,"
        " unnest(array[0, 500, 9999]) as offer,"
        " ops.recovery_economics(p::numeric, clv, lift, contact, offer)"
        # less than this is rounded
        " where abs(profit_cents) >= 0.0002"
    )
    assert n > 1000
    assert n_contradicting == 0
    assert 0 < n_worth_it < n
