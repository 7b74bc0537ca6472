"""Early warnings: the signs, the list for account owners, and whether they came true."""

from __future__ import annotations

import csv
import re
import stat
from ast import literal_eval
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from tests.conftest import PROJECT, Warehouse, WarehouseFactory
from tests.small_shop import SmallShop, small_shop
from winback.dbt_build import PARTS, run_part, schema_suffix
from winback.extract.snapshot import extract
from winback.kpi.warning_record import record_warnings
from winback.outreach.warning_list import WORDS, NoWarnings, write_warning_list
from winback.privacy.keyed_hash import address_hash, customer_key
from winback.settings import settings

AS_OF = date(2025, 3, 1)
FORMULA = '=HYPERLINK("http://127.0.0.1")'


def fill(shop: SmallShop) -> None:
    """Customers who still buy, and what bodes ill."""
    for name in ("rarer", "troubled", "about_owner", "withdrawn", "content"):
        shop.add(name, 10, first_name=name.title())
        shop.customers[-1] |= {"account_owner": "Kim", "phone": "+49 30 1", "last_name": FORMULA}
    shop.customers[-1]["account_owner"] = "Ann"
    shop.consents[-2]["withdrawn"] = shop.day(5)
    # every 10 days, and then nothing for 45
    [first] = [row for row in shop.orders if row["customer"] == "rarer"]
    first["date"] = shop.day(245)
    for days_ago in range(45, 245, 10):
        shop.buy("rarer", days_ago)
    shop.add("one_time", 170)
    complaints = [
        ("troubled", "price", 30), ("troubled", "delivery", 20), ("withdrawn", "price", 20),
        ("about_owner", "contact_person", 20), ("lapsed-00", "price", 20), ("one_time", "price", 5),
    ]  # fmt: skip
    for n, (name, reason, days_ago) in enumerate(complaints):
        shop.tell(
            "complaints", complaint_id=f"c{n}", customer_id=name, reason=reason,
            opened_at=shop.day(days_ago),
        )  # fmt: skip
    shop.tell(
        "carts", cart_id="k1", customer_id="troubled", created_at=shop.day(4),
        checkout_at=shop.day(4), amount_cents="1000", currency="EUR",
    )  # fmt: skip


def build(as_of: date) -> None:
    # without the gates: nobody buys in the months after, which is no fit batch
    suffix = schema_suffix(extract(as_of, "live"))
    for part in PARTS:
        results = run_part(["--quiet", "run"], part, as_of, suffix)
        assert {status for status, _ in results.values()} == {"success"}, results


@pytest.fixture(scope="module")
def built(warehouse_factory: WarehouseFactory) -> Iterator[Warehouse]:
    with warehouse_factory("warnings") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        fill(shop)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        build(AS_OF)
        yield warehouse


@pytest.fixture
def lists(built: Warehouse) -> Path:
    return settings().home / "lists"


def keys(*names: str) -> dict[str, str]:
    return {customer_key("shop", name): name for name in names}


def read(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["customer_key"]: row for row in csv.DictReader(file)}


def test_signs_are_told_in_plain_words_with_their_numbers(built: Warehouse) -> None:
    found = dict(built.execute("select customer_key, signs from marts.fct_warnings"))
    named = {name: found[key] for key, name in keys("troubled", "about_owner", "rarer").items()}
    assert named["troubled"] == "two open complaints; one abandoned checkout"
    assert named["about_owner"] == (
        "one case of trouble with the contact person; one open complaint"
    )
    assert named["rarer"].endswith(" days, now 45 without")
    assert not set(keys("content", "lapsed-00", "active-00")) & set(found)


def test_owners_who_read_german_are_warned_in_german(warehouse: Warehouse, tmp_path: Path) -> None:
    shop = small_shop(warehouse.data, AS_OF)
    fill(shop)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True, warning_language="de")
    build(AS_OF)
    (path, _), _ = write_warning_list(tmp_path, AS_OF)
    rows = read(path)
    told = {name: rows[key] for key, name in keys("troubled", "about_owner", "rarer").items()}
    assert told["troubled"]["signs"] == "zwei offene Beschwerden; ein abgebrochener Bestellvorgang"
    assert told["about_owner"]["signs"] == (
        "eine offene Beschwerde; einmal Ärger mit der Ansprechperson"
    )
    assert told["rarer"]["signs"].endswith(" Tage, jetzt seit 45 Tagen nicht")
    assert [row["goes_to"] for row in told.values()] == [
        "Kundenbetreuung", "Leitung der Kundenbetreuung", "Kundenbetreuung",
    ]  # fmt: skip
    assert [row["severity"] for row in told.values()] == ["mittel", "mittel", "gering"]


def test_every_language_tells_the_same_signs_with_the_same_numbers() -> None:
    text = (PROJECT / "dbt_project" / "macros" / "in_words.sql").read_text(encoding="utf-8")
    texts = literal_eval(text[text.index("return({") + 7 : text.index("[var('warning_language')")])
    assert texts.keys() == WORDS.keys() == {"en", "de"}
    assert WORDS["de"].keys() == WORDS["en"].keys()

    def shape(language: str) -> dict[str, Any]:
        return {
            name: sorted(re.findall(r"{\w+}", said)) if isinstance(said, str) else len(said)
            for name, said in texts[language].items()
        }

    assert len(shape("en")) > 15
    assert shape("de") == shape("en")


def test_the_list_is_sorted_by_owner_and_names_the_manager_where_it_is_about_them(
    built: Warehouse, lists: Path
) -> None:
    (path, _), n_listed = write_warning_list(lists, AS_OF)
    rows = read(path)
    assert len(rows) == n_listed == 5
    assert [row["account_owner"] for row in rows.values()] == ["Kim"] * 4 + [""]
    goes_to = {name: rows[key]["goes_to"] for key, name in keys("about_owner", "troubled").items()}
    assert goes_to == {"about_owner": "manager of the account owner", "troubled": "account owner"}


def test_contact_data_only_of_those_who_may_be_contacted(built: Warehouse, lists: Path) -> None:
    (path, _), _ = write_warning_list(lists, AS_OF)
    rows = read(path)
    troubled, withdrawn = (rows[customer_key("shop", n)] for n in ("troubled", "withdrawn"))
    assert (troubled["email"], troubled["no_email_because"]) == ("troubled@example.com", "")
    assert (troubled["phone"], troubled["no_call_because"]) == ("", "consent_missing")
    assert (withdrawn["email"], withdrawn["no_email_because"]) == ("", "consent_withdrawn")
    built.execute(
        "insert into ops.suppression (address_hash, scope, reason)"
        " values (%s, 'address', 'unsubscribe')",
        (address_hash("email", "troubled@example.com"),),
    )
    write_warning_list(lists, AS_OF)
    assert read(path)[customer_key("shop", "troubled")]["email"] == ""
    built.execute("delete from ops.suppression")


@pytest.mark.parametrize(
    ("told", "because"),
    [
        ("update raw.customers set objected_at = %s where customer_key = %s", "objected"),
        ("update raw.consents set withdrawn_at = %s where customer_key = %s", "consent_withdrawn"),
    ],
)
def test_who_objects_or_withdraws_in_the_morning_is_not_on_the_list_of_that_day(
    built: Warehouse, lists: Path, told: str, because: str
) -> None:
    troubled = customer_key("shop", "troubled")
    built.execute(told, (f"{AS_OF} 09:00+00", troubled))
    try:
        for replay, email, says in ((True, "troubled@example.com", ""), (False, "", because)):
            with built.configured(replay=replay):
                (path, _), _ = write_warning_list(lists, AS_OF)
            row = read(path)[troubled]
            assert (row["email"], row["no_email_because"]) == (email, says)
    finally:
        built.execute(told, (None, troubled))


def test_the_verdicts_on_warnings_are_kept_once(built: Warehouse, lists: Path) -> None:
    def kept() -> list[Any]:
        return built.execute(
            "select channel, is_eligible, reasons, evidence ->> 'consent' is not null, campaign_id"
            " from ops.verdict where step = 'warning' and customer_key = %s"
            " order by verdict_id, channel",
            (customer_key("shop", "troubled"),),
        )

    built.execute("truncate ops.verdict")
    write_warning_list(lists, AS_OF)
    first = [
        ("email", True, [], True, ""),
        ("phone", False, ["consent_missing"], False, ""),
    ]
    assert sorted(kept()) == first
    write_warning_list(lists, AS_OF)
    assert sorted(kept()) == first
    built.execute(
        "insert into ops.suppression (address_hash, scope, reason)"
        " values (%s, 'address', 'bounce')",
        (address_hash("email", "troubled@example.com"),),
    )
    write_warning_list(lists, AS_OF)
    write_warning_list(lists, AS_OF)
    assert kept()[2:] == [("email", False, ["suppressed"], True, "")]
    built.execute("delete from ops.suppression")


def test_two_writers_at_once_keep_each_verdict_once(built: Warehouse, lists: Path) -> None:
    built.execute("truncate ops.verdict")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write_warning_list(lists, AS_OF), range(4)))
    [(n, n_distinct)] = built.execute(
        "select count(*), count(distinct (customer_key, channel)) from ops.verdict"
    )
    assert n == n_distinct > 0


def test_no_cell_becomes_a_formula_and_nobody_else_reads_the_files(
    built: Warehouse, lists: Path
) -> None:
    written, _ = write_warning_list(lists, AS_OF)
    assert [path.name for path in written] == [
        "warnings-2025-03-01.csv", "warnings-2025-03-01.xlsx",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    [row] = [row for row in read(written[0]).values() if row["first_name"] == "Rarer"]
    assert row["last_name"] == f"'{FORMULA}"
    with ZipFile(written[1]) as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314
        strings = book.read("xl/sharedStrings.xml").decode()
    assert "=HYPERLINK" in strings
    tags = [each.tag.rsplit("}")[-1] for each in sheet.iter()]
    assert (tags.count("row"), tags.count("f")) == (6, 0)


def test_an_older_list_goes_and_another_date_is_refused(built: Warehouse, lists: Path) -> None:
    lists.mkdir(exist_ok=True)
    old = lists / "warnings-2025-02-28.csv"
    old.touch()
    other = lists / "campaign.csv"
    other.touch()
    write_warning_list(lists, AS_OF)
    assert (old.exists(), other.exists()) == (False, True)
    with pytest.raises(NoWarnings, match="the marts are not of 2025-03-02"):
        write_warning_list(lists, AS_OF + timedelta(days=1))


def test_warnings_are_held_against_what_came(warehouse_factory: WarehouseFactory) -> None:
    with warehouse_factory("judged") as warehouse:
        shop = small_shop(warehouse.data, AS_OF)
        fill(shop)
        warehouse.configure(sources=shop.write(), dataset="shop", replay=True)
        build(AS_OF)
        assert record_warnings(AS_OF) == 5
        assert record_warnings(AS_OF) == 0, "once"
        assert record_warnings(AS_OF + timedelta(days=1)) == 0, "the marts are of another date"
        assert judged(warehouse) == [(AS_OF, False, 11, 5, None, None, None, None)]
        build(AS_OF + timedelta(days=91))
        [row] = judged(warehouse)
    # the one who had grown rarer, and the one-time buyer 11 days later; the others stay until
    # 180 days after their only purchase
    assert row[:5] == (AS_OF, True, 11, 5, 2)
    assert [float(value) for value in row[5:7]] == [40.0, 100.0]
    assert 0 < row[7] <= 11


def judged(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.execute(
        "select warned_on, is_closed, n_watched, n_warned, n_warned_and_lapsed, precision_pct,"
        " recall_pct, median_lead_days from marts.rpt_warnings"
    )
