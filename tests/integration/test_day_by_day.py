"""Building day by day gives what building anew gives, whatever the days bring."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from random import Random

import pytest
import yaml

from tests.conftest import Warehouse
from tests.small_shop import SmallShop, small_shop
from winback import dbt_build, mart_builds
from winback.dbt_build import PARTS, run_part
from winback.extract.loading.customer_merge import unmerge
from winback.extract.snapshot import extract
from winback.privacy.keyed_hash import customer_key

FIRST = date(2025, 3, 1)
ANEW = "_anew"
# who is concerned by a run, not what holds of a date
OF_A_RUN = {
    "stg_orders__changed", "stg_customers__changed", "int_customers__touched",
    "int_customers__restated", "int_customers__moved", "int_customers__resummed",
    "int_customers__reasoned", "int_customers__signalled", "int_orders__touched",
}  # fmt: skip


@pytest.fixture
def shop(warehouse: Warehouse) -> SmallShop:
    """Customers whose silences begin, excuse, end and lapse around the days of the tests."""
    made = small_shop(warehouse.data, FIRST, n_lapsed=6, n_active=2)
    random = Random(11)  # noqa: S311
    for n in range(40):
        name, gap = f"buyer-{n:02}", random.choice([9, 21, 45, 90])
        made.add(name, 700 + n)
        for days_ago in range(690 - n, random.choice([1, 30, 80, 200]), -gap):
            made.buy(name, days_ago + random.randint(-3, 3), f"{random.randint(5, 90)}.50")
    made.tell(
        "complaints",
        complaint_id="old",
        customer_id="buyer-01",
        reason="delivery",
        opened_at=made.day(20),
    )
    made.tell(
        "complaints",
        complaint_id="gone",
        customer_id="buyer-02",
        reason="price",
        opened_at=made.day(20),
    )
    send_back(made, "lapsed-01", 100)
    send_back(made, "buyer-13", 30)
    warehouse.configure(dataset="shop", replay=True, sources=written(made))
    return made


def send_back(shop: SmallShop, name: str, days_ago: int) -> None:
    """Moves no state, but turnover, scores, and the reasons of who is lost."""
    shop.tell(
        "returns",
        return_id=f"return-{name}",
        customer_id=name,
        amount_cents="700",
        currency="EUR",
        reason="product_quality",
        returned_at=shop.day(days_ago),
    )


def written(shop: SmallShop) -> str:
    path = shop.write()
    sources = yaml.safe_load(path.read_text())
    for feed in ("orders", "complaints", "returns"):
        sources["datasets"]["shop"]["feeds"][feed]["deleted_rows"] = "mark"
    path.write_text(yaml.safe_dump(sources))
    return str(path)


def build(as_of: date, suffix: str = "") -> None:
    for part in PARTS:
        results = run_part(["--quiet", "run"], part, as_of, suffix)
        assert {status for status, _ in results.values()} == {"success"}, results


def contents(warehouse: Warehouse, suffix: str) -> dict[str, tuple[object, ...]]:
    """Rows and a checksum of them, by table."""
    names = [
        (schema, name)
        for schema in ("staging", "intermediate", "marts")
        for (name,) in warehouse.execute(
            "select table_name from information_schema.tables where table_schema = %s"
            " and table_name <> all(%s)",
            (schema + suffix, list(OF_A_RUN)),
        )
    ]
    return {
        f"{schema}.{name}": warehouse.execute(
            "select count(*), coalesce(sum(hashtextextended(row::text, 0)::numeric), 0)"
            f' from "{schema}{suffix}"."{name}" as row'
        )[0]
        for schema, name in names
    }


def assert_as_if_built_anew(warehouse: Warehouse, as_of: date) -> None:
    warehouse.execute("delete from ops.mart_build where schema_suffix = %s", (ANEW,))
    build(as_of, ANEW)
    own, anew = contents(warehouse, ""), contents(warehouse, ANEW)
    assert len(own) > 60
    assert own == anew


def added_to(warehouse: Warehouse) -> int | None:
    """The build that the newest one added to."""
    [(base,)] = warehouse.execute(
        "select added_to_build_id from ops.mart_build where schema_suffix = ''"
        " order by mart_build_id desc limit 1"
    )
    assert base is None or isinstance(base, int)
    return base


def n_touched(warehouse: Warehouse) -> int:
    [(n,)] = warehouse.execute("select count(*) from intermediate.int_customers__touched")
    assert isinstance(n, int)
    return n


def orders_of(shop: SmallShop, name: str) -> list[dict[str, str]]:
    return [order for order in shop.orders if order["customer"] == name]


def test_every_kind_of_change_is_added(shop: SmallShop, warehouse: Warehouse) -> None:
    def day(n: int) -> date:
        written(shop)
        extract(FIRST + timedelta(days=n), "live")
        build(FIRST + timedelta(days=n))
        return FIRST + timedelta(days=n)

    def key_of(names: Iterable[str]) -> set[tuple[str]]:
        return {(customer_key("shop", name),) for name in names}

    def touched() -> set[tuple[object, ...]]:
        return set(
            warehouse.execute("select customer_key from intermediate.int_customers__touched")
        )

    day(0)
    assert added_to(warehouse) is None

    # new ones, one that comes late, a complaint, and returns
    send_back(shop, "lapsed-02", 0)
    send_back(shop, "buyer-14", 0)
    shop.buy("lapsed-00", 0)
    shop.buy("buyer-03", 150, "33.00")
    shop.add("new", 0)
    shop.customers[3]["locale"] = "en_GB"
    shop.tell(
        "complaints",
        complaint_id="new",
        customer_id="buyer-04",
        reason="price",
        opened_at=shop.day(0),
    )
    as_of = day(1)
    assert added_to(warehouse) is not None
    assert touched() == key_of(["lapsed-00", "lapsed-03", "buyer-03", "new"])
    assert_as_if_built_anew(warehouse, as_of)

    # corrected, given to another customer, resolved, not sent back after all; and two records that
    # are one person
    shop.more["returns"] = shop.more["returns"][2:]
    orders_of(shop, "buyer-05")[3]["total"] = "1.00"
    orders_of(shop, "buyer-06")[-1]["customer"] = "buyer-07"
    shop.more["complaints"][0]["resolved_at"] = shop.day(-1)
    shop.add("buyer-08-again", 3)
    shop.customers[-1]["email"] = "buyer-08@example.com"
    as_of = day(2)
    same = ["buyer-08", "buyer-08-again"]
    assert touched() == key_of(["buyer-05", "buyer-06", "buyer-07", *same])
    assert_as_if_built_anew(warehouse, as_of)

    # taken out at the source, and told apart again
    shop.orders.remove(orders_of(shop, "buyer-09")[-1])
    del shop.more["complaints"][1]
    unmerge(customer_key("shop", "buyer-08-again"), "they are two", "a person")
    # which holds from the real today on
    warehouse.execute(
        "update ops.customer_merge set unmerged_as_of = %s", (FIRST + timedelta(days=3),)
    )
    as_of = day(3)
    assert touched() == key_of(["buyer-09", *same])
    assert_as_if_built_anew(warehouse, as_of)
    n_apart = "select count(*) from marts.fct_orders where customer_key = %s"
    assert warehouse.execute(n_apart, (customer_key("shop", "buyer-08-again"),)) == [(1,)]

    # nothing but time
    before = warehouse.execute("select count(*) from marts.fct_customer_states where is_lapsed")
    as_of = day(60)
    assert n_touched(warehouse) == 0
    assert warehouse.execute("select count(*) from marts.fct_customer_states where is_lapsed") > (
        before
    )
    assert_as_if_built_anew(warehouse, as_of)

    # the same date again, with what came meanwhile
    shop.buy("buyer-10", 100)
    shop.orders[-1]["number"] = "another"
    as_of = day(60)
    assert touched() == key_of(["buyer-10"])
    assert_as_if_built_anew(warehouse, as_of)


def test_returns_that_come_and_go_change_the_reasons_of_a_loss(
    shop: SmallShop, warehouse: Warehouse
) -> None:
    def n_sources(as_of: date) -> list[tuple[object, ...]]:
        written(shop)
        extract(as_of, "live")
        build(as_of)
        return warehouse.execute(
            "select n_sources from marts.fct_lapse_reasons where customer_key = %s order by rank",
            (customer_key("shop", "lapsed-01"),),
        )

    # nothing else moves this customer
    assert n_sources(FIRST) == [(0,), (1,)]
    shop.more["returns"].pop(0)
    assert n_sources(FIRST + timedelta(days=1)) == [(0,)]
    send_back(shop, "lapsed-01", 90)
    shop.more["returns"][-1]["return_id"] = "another"
    assert n_sources(FIRST + timedelta(days=2)) == [(0,), (1,)]
    assert n_touched(warehouse) == 0


def test_only_rows_that_differ_are_written(shop: SmallShop, warehouse: Warehouse) -> None:
    def rows(table: str) -> dict[object, object]:
        return dict(
            warehouse.execute(
                f"select purchase_date, ctid::text from intermediate.{table}"
                " where customer_key = %s order by purchase_date",
                (customer_key("shop", "buyer-03"),),
            )
        )

    extract(FIRST, "live")
    build(FIRST)
    before = {table: rows(table) for table in ("int_orders__daily", "int_purchases__rhythm")}
    shop.buy("buyer-03", 0)
    written(shop)
    extract(FIRST + timedelta(days=1), "live")
    build(FIRST + timedelta(days=1))
    assert n_touched(warehouse) == 1
    [(n_signalled,)] = warehouse.execute(
        "select count(distinct customer_key) from intermediate.int_customers__signalled"
    )
    assert n_signalled == 1
    # so that the planner looks these few up, and does not read everything
    [(share, told)] = warehouse.execute(
        "select -count(distinct customer_key)::real / count(*), (select option_value::real"
        "  from pg_attribute, pg_options_to_table(attoptions)"
        "  where attrelid = 'intermediate.int_orders__daily'::regclass"
        "  and attname = 'customer_key' and option_name = 'n_distinct')"
        " from intermediate.int_orders__daily"
    )
    assert told == pytest.approx(share, rel=0.01)
    after = {table: rows(table) for table in before}
    n = len(before["int_orders__daily"])
    assert n > 2
    # a purchase more; and of the one before it is known by now when the next one came
    for table, n_same in (("int_orders__daily", n), ("int_purchases__rhythm", n - 1)):
        assert len(after[table]) == n + 1
        assert len(before[table].items() & after[table].items()) == n_same


def test_a_build_that_ended_half_way_is_made_good_by_the_next(
    shop: SmallShop, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(FIRST, "live")
    build(FIRST)
    orders_of(shop, "buyer-06")[-1]["customer"] = "buyer-07"
    shop.more["complaints"][0]["resolved_at"] = shop.day(0)
    shop.more["returns"].pop()
    written(shop)
    extract(FIRST + timedelta(days=1), "live")
    half = [
        "fct_orders", "int_purchases__rhythm", "int_facts__dated", "int_customers__restated",
        "int_facts__signalled", "int_customers__signalled", "int_returns__dated",
        "int_customers__resummed", "int_returns__daily",
    ]  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setitem(dbt_build.PARTS, "model", (half, []))
        patched.setattr(mart_builds, "complete", lambda suffix: None)
        build(FIRST + timedelta(days=1))
    # what the half build saw as a change does not look like one any more
    shop.buy("buyer-11", -1)
    written(shop)
    extract(FIRST + timedelta(days=2), "live")
    build(FIRST + timedelta(days=2))
    assert added_to(warehouse) is not None
    assert_as_if_built_anew(warehouse, FIRST + timedelta(days=2))


STATES = ["marts.fct_customer_states", "marts.fct_inactive_six_months"]
UP_TO_THE_STATES = [
    "int_purchases__rhythm", "int_purchases__calendar", "int_purchases__expected",
    "int_facts__dated", "int_customers__restated", "int_facts__signalled",
    "int_customers__signalled", "int_customers__timeline", "int_customers__rhythm",
    "int_customers__moved", "int_states__dated",
]  # fmt: skip


def test_states_are_of_one_date_wherever_a_build_ends(
    shop: SmallShop, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> list[tuple[object, ...]]:
        return [contents(warehouse, "")[name] for name in STATES]

    later = FIRST + timedelta(days=40)
    extract(FIRST, "live")
    build(FIRST)
    before = states()
    shop.buy("lapsed-00", -39)
    written(shop)
    extract(later, "live")
    monkeypatch.setattr(mart_builds, "complete", lambda suffix: None)
    # it dies right before the states, and right after them: the views over them are as they were
    monkeypatch.setitem(dbt_build.PARTS, "model", (UP_TO_THE_STATES, []))
    build(later)
    assert states() == before
    monkeypatch.setitem(dbt_build.PARTS, "model", (["int_customers__standing"], []))
    build(later)
    after = states()
    assert after != before
    monkeypatch.undo()
    build(later)
    assert added_to(warehouse) is not None
    assert states() == after
    assert_as_if_built_anew(warehouse, later)


def test_other_settings_another_rhythm_and_an_earlier_date_build_anew(
    shop: SmallShop, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(FIRST, "live")
    build(FIRST)
    build(FIRST)
    assert added_to(warehouse) is not None
    warehouse.configure(complaint_days=30)
    build(FIRST)
    assert added_to(warehouse) is None
    warehouse.configure(complaint_days=365)
    build(FIRST)
    assert added_to(warehouse) is None, "the build in between was of another making"
    build(FIRST - timedelta(days=1))
    assert added_to(warehouse) is None
    made_of = "another rhythm"
    assert mart_builds.begin_stage(FIRST, "", "the same") is None
    mart_builds.begin_model("", "a rhythm")
    mart_builds.complete("")
    assert mart_builds.begin_stage(FIRST, "", "the same") is not None
    assert mart_builds.begin_model("", made_of) is None
    # of the next attempt, too: the one before it may have changed some tables
    assert mart_builds.begin_stage(FIRST, "", "the same") is not None
    assert mart_builds.begin_model("", "a rhythm") is None


def test_a_batch_that_still_loaded_during_a_build_is_seen_by_the_next(
    shop: SmallShop, warehouse: Warehouse
) -> None:
    extract(FIRST, "live")
    [(slow,)] = warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'load', 'shop')"
        " returning snapshot_id",
        (FIRST,),
    )
    build(FIRST)
    shop.buy("buyer-12", 40)
    written(shop)
    extract(FIRST, "live")
    warehouse.execute("update raw.orders set snapshot_id = %s where order_id = %s", (
        slow, shop.orders[-1]["number"],
    ))  # fmt: skip
    build(FIRST)
    assert n_touched(warehouse) == 1
    assert_as_if_built_anew(warehouse, FIRST)
