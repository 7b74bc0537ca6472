"""Reasons and products in the return model: as known on past dates, and used where they help."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pytest

from tests.conftest import Warehouse, WarehouseFactory
from tests.worlds import feeds
from tests.worlds.truth import AS_OF
from tests.worlds.world import make
from winback.dbt_build import run_part, schema_suffix
from winback.extract.snapshot import extract
from winback.model import return_model, window_models
from winback.model.return_features import SalesHistory, features
from winback.settings import settings
from winback.training import known_facts, model_runs, scoring, value_training
from winback.training.model_runs import ModelRun
from winback.training.sales_history import EVERYBODY, day_number, read_history, sampling
from winback.training.training import train
from winback.warehouse import connection

pytestmark = pytest.mark.timeout(300)
EARLIER = AS_OF - timedelta(days=97)


def stage(as_of: date, purpose: str) -> str:
    suffix = schema_suffix(extract(as_of, purpose))
    results = run_part(["--quiet", "run"], "stage", as_of, suffix)
    assert {status for status, _ in results.values()} == {"success"}, results
    return suffix


def read(suffix: str) -> tuple[list[str], SalesHistory]:
    keys, history = read_history(suffix)
    return keys.to_pylist(), known_facts.with_facts(history, keys, suffix, EVERYBODY)


@pytest.fixture(scope="module")
def service(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    """The simulated service company, whose feeds tell reasons and products, staged."""
    world = make("service_world", 1)
    with warehouse_factory("reasons") as warehouse:
        sources = feeds.write(world, warehouse.data)
        warehouse.configure(sources=sources, dataset=world.name)
        assert stage(AS_OF, "live") == ""
        yield warehouse


@pytest.fixture(scope="module")
def trained(service: Warehouse) -> ModelRun:
    train(AS_OF)
    with connection.connect("loader") as opened:
        run = model_runs.newest_in_use(opened, value_training.MODEL, AS_OF)
    assert run is not None
    return run


def test_a_past_date_shows_what_was_known_on_it(service: Warehouse) -> None:
    """What today's facts say of a past date is what was said on it, feature by feature."""
    keys, today = read("")
    keys_then, then = read(stage(EARLIER, "backfill"))
    day = day_number(EARLIER)
    basis = window_models.basis_on(then, day)
    looked_back = features(today, day, 60, basis.rhythm, basis.bg_nbd)
    known = features(then, day, 60, basis.rhythm, basis.bg_nbd)
    assert [keys[number] for number in looked_back.customer] == keys_then
    assert set(looked_back.columns) == set(known.columns) > return_model.BESIDE_PURCHASES
    for name, column in known.columns.items():
        assert np.array_equal(column, looked_back.columns[name]), name
    # all of it tells something; no price falls in this company
    constant = {name for name, column in known.columns.items() if not np.ptp(column)}
    assert constant & return_model.BESIDE_PURCHASES == {"cheaper_share"}


def test_reasons_and_products_help_here_and_are_used(trained: ModelRun) -> None:
    for days, window in trained.metrics["windows"].items():
        assert window["chosen"] in ("all_features", "all_features_in_steps"), days
        assert "reasons and products ranked better" in window["chosen_because"]
        for measure in ("auc", "rank_correlation"):
            means = {
                name: np.mean(
                    [
                        row[measure]
                        for row in window["rows"]
                        if row["candidate"] == name and row["population"] == "all"
                    ]
                )
                for name in ("purchases", "recency", "rfm", "bg_nbd", "clv", window["chosen"])
            }
            assert max(means, key=lambda name: means[name]) == window["chosen"], (days, means)
        expected, bought = (
            sum(
                row[name]
                for row in window["rows"]
                if row["candidate"] == window["chosen"] and row["population"] == "all"
            )
            for name in ("n_expected", "n_buyers")
        )
        assert 0.9 < expected / bought < 1.1, days


def test_the_card_says_so(trained: ModelRun) -> None:
    page = (settings().home / "models" / f"value-{AS_OF}-{trained.model_run_id}.html").read_text()
    assert "purchases, and of reasons and products what helped on past dates" in page
    assert "Reasons and products ranked better" in page or "; reasons and products ranked" in page
    assert "features of purchases alone" in page


def test_scores_use_them(service: Warehouse, trained: ModelRun) -> None:
    assert scoring.score(AS_OF) == 4000
    [(least, most, n_missing)] = service.execute(
        "select min(spend_place), max(spend_place),"
        " count(*) filter (where probability_60_days is null) from intermediate.customer_score"
    )
    assert 0 <= least < 0.4
    assert 0.7 < most <= 1
    assert n_missing == 0
    [(told, silent)] = service.execute(
        "select avg(probability_60_days) filter (where told.customer_key is not null),"
        " avg(probability_60_days) filter (where told.customer_key is null)"
        " from intermediate.customer_score as score left join ("
        "  select distinct customer_key from intermediate.int_experiences__dated"
        "  where kind = 'cancellation' and over_on is null and happened_on > %s"
        " ) as told using (customer_key)",
        [AS_OF - timedelta(days=60)],
    )
    assert told < silent / 3


def test_a_sample_has_the_same_facts(service: Warehouse) -> None:
    sampled = sampling("", 1500)
    keys, history = read_history("", sampled)
    assert 1000 < len(keys) < 1700
    sample = known_facts.with_facts(history, keys, "", sampled)
    all_keys, everybody = read("")
    place = {key: number for number, key in enumerate(all_keys)}
    numbers = np.array([place[key] for key in keys.to_pylist()])
    assert sample.baskets is not None
    assert everybody.baskets is not None
    chosen = np.isin(everybody.baskets.customer, numbers)
    assert np.array_equal(numbers[sample.baskets.customer], everybody.baskets.customer[chosen])
    assert np.array_equal(sample.baskets.n_products, everybody.baskets.n_products[chosen])
    assert sample.experiences is not None
    assert len(sample.experiences.day) == np.isin(everybody.experiences.customer, numbers).sum()  # type: ignore[union-attr]
