"""The weekly training on CDNOW: fitted, judged on the past, stored, applied and shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.flow import up_to_gate
from winback.settings import settings
from winback.training.training import date_of_marts, train

AS_OF = date(1998, 6, 30)


@pytest.fixture(scope="module")
def trained(
    warehouse_factory: WarehouseFactory, cdnow_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    with warehouse_factory("training") as warehouse:
        warehouse.configure(
            data=cdnow_data.parent, dataset="cdnow", replay=True,
            home=tmp_path_factory.mktemp("training"),
        )  # fmt: skip
        assert date_of_marts() is None
        up_to_gate(AS_OF)
        assert warehouse.execute("select count(*) from marts.fct_customer_values") == [(0,)]
        assert date_of_marts() == AS_OF
        # a snapshot that no gate let through is not what the marts know
        warehouse.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values ('1998-07-31', 'live', 'x')"
        )
        assert date_of_marts() == AS_OF
        warehouse.execute("delete from ops.snapshot where dataset = 'x'")
        assert len(train(AS_OF)) == 2
        up_to_gate(AS_OF)
        yield warehouse


def windows(trained: Warehouse) -> dict[str, list[dict[str, float]]]:
    [(metrics,)] = trained.execute("select metrics from ops.model_run where model = 'value'")
    return {days: each["rows"] for days, each in metrics["windows"].items()}


def mean(rows: list[dict[str, float]], of: str, candidate: str, population: str) -> float:
    chosen = [
        row[of] for row in rows if row["candidate"] == candidate and row["population"] == population
    ]
    assert len(chosen) == 4
    return sum(chosen) / len(chosen)


def chosen(trained: Warehouse, days: str) -> str:
    [(metrics,)] = trained.execute("select metrics from ops.model_run where model = 'value'")
    return str(metrics["windows"][days]["chosen"])


@pytest.mark.parametrize(
    ("days", "used"),
    [("30", "all_features"), ("60", "all_features"), ("180", "all_features_in_steps")],
)
def test_purchases_alone_are_known_and_the_longest_window_is_taken_in_steps(
    trained: Warehouse, days: str, used: str
) -> None:
    assert chosen(trained, days) == used
    candidates = {row["candidate"] for row in windows(trained)[days]}
    assert not {"purchases", "purchases_in_steps"} & candidates
    assert ("all_features_in_steps" in candidates) == (days == "180")


@pytest.mark.parametrize("population", ["all", "long_inactive"])
@pytest.mark.parametrize("days", ["30", "60", "180"])
def test_it_ranks_better_than_recency_rfm_bg_nbd_and_clv(
    trained: Warehouse, days: str, population: str
) -> None:
    rows = windows(trained)[days]
    for measure in ("auc", "rank_correlation"):
        own = mean(rows, measure, chosen(trained, days), population)
        for score in ("recency", "rfm", "bg_nbd", "clv"):
            assert own > mean(rows, measure, score, population), (measure, score)


@pytest.mark.parametrize("days", ["30", "60", "180"])
def test_its_totals_averaged_over_dates_are_near_what_happened(
    trained: Warehouse, days: str
) -> None:
    used = chosen(trained, days)
    rows = [row for row in windows(trained)[days] if row["candidate"] == used]
    for population in ("all", "long_inactive"):
        own = [row for row in rows if row["population"] == population]
        level = sum(row["n_expected"] for row in own) / sum(row["n_buyers"] for row in own)
        assert 0.9 < level < 1.1, population


def test_every_buyer_is_scored_and_no_one_time_buyer_comes_first(trained: Warehouse) -> None:
    [(n_scored, n_bad)] = trained.execute(
        "select count(*), count(*) filter (where probability_60_days not between 0 and 1"
        " or not value_low_cents <= value_cents or not value_cents <= value_high_cents"
        " or value_if_returned_cents < value_cents * 0.99) from marts.fct_customer_values"
    )
    assert (n_scored, n_bad) == (23_570, 0)
    best = trained.execute(
        "select states.n_purchases, round(probability_alive, 3) from marts.fct_customer_values"
        " inner join marts.fct_customer_states as states using (customer_key)"
        " order by probability_60_days desc limit 100"
    )
    assert min(n for n, _ in best) > 1
    assert trained.execute(
        "select count(*) > 1000, min(probability_alive) from marts.fct_customer_values"
        " inner join marts.fct_customer_states as states using (customer_key)"
        " where states.n_purchases = 1"
    ) == [(True, 1)]


def test_the_expected_buyers_of_the_next_window_add_up(trained: Warehouse) -> None:
    """What was expected on the last date, against the shares of the windows before it."""
    [(expected,)] = trained.execute(
        "select sum(probability_60_days) from marts.fct_customer_values"
    )
    buyers = [
        row["n_buyers"]
        for row in windows(trained)["60"]
        if row["candidate"] == "all_features" and row["population"] == "all"
    ]
    assert 0.7 * min(buyers) < expected < 1.3 * max(buyers)


def test_the_card_says_what_was_measured(trained: Warehouse) -> None:
    [(run_id, is_in_use, because)] = trained.execute(
        "select model_run_id, is_in_use, because from ops.model_run where model = 'value'"
    )
    assert is_in_use
    assert because.startswith("the first value models; no simpler score ranked better")
    page = (settings().home / "models" / f"value-1998-06-30-{run_id}.html").read_text()
    row = mean(windows(trained)["60"], "auc", "all_features", "all")
    assert f"{row:.3f}" in page
    assert page.count("<svg") == 2
    assert "In use: the first value models" in page


def test_a_second_training_is_compared_with_the_first(trained: Warehouse) -> None:
    train(AS_OF)
    because = trained.execute(
        "select because from ops.model_run where model = 'value' order by model_run_id desc limit 1"
    )
    assert because[0][0].startswith("AUC on past dates 0.8")
