"""Lists for marketing: readable by their owner alone, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Warehouse
from winback.outreach.lists import COLUMNS, refresh_lists, write_list

AS_OF = date(2026, 3, 1)


def fill(warehouse: Warehouse, names: list[str]) -> None:
    """A campaign with one planned message per name; the customers are called c0, c1, …."""
    [(snapshot,)] = warehouse.execute(
        "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'live', 'shop')"
        " returning snapshot_id",
        (AS_OF,),
    )
    warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('spring', '{}')")
    for n, name in enumerate(names):
        key = f"c{n}"
        warehouse.execute(
            "insert into raw.customers"
            " (customer_key, email_hash, locale, registered_at, snapshot_id)"
            " values (%s, %s, 'de_DE', now(), %s)",
            (key, f"hash {key}", snapshot),
        )
        warehouse.execute(
            "insert into raw.consents (consent_id, customer_key, channel, granted_at,"
            " confirmed_at, text_version, source, snapshot_id)"
            " values (%s, %s, 'email', now() - interval '90 days', now() - interval '90 days',"
            " 'v1', 'checkout', %s)",
            (key, key, snapshot),
        )
        warehouse.execute(
            "insert into pii.customers (customer_key, email, first_name) values (%s, %s, %s)",
            (key, f"{key}@example.com", name),
        )
        warehouse.execute(
            "insert into ops.assignment (campaign_id, lapse_id, customer_key, snapshot_id, as_of,"
            " occasion, occasion_date, arm, stratum, customer_state, window_starts_at,"
            " window_ends_at, window_days)"
            " values ('spring', %s, %s, %s, %s, 'last_purchase', '2025-05-01', 'treated', 'high',"
            " 'inactive', now(),"
            " now() + interval '60 days', 60)",
            (key, key, snapshot, AS_OF),
        )
        warehouse.execute(
            "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
            " address_hash, snapshot_id, as_of, template)"
            " values ('spring', %s, 1, 'email', %s, %s, %s, %s, 'spring')",
            (key, key, f"hash {key}", snapshot, AS_OF),
        )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


NAMES = {
    "Anna": "Anna",
    "=1+1": "'=1+1",
    "+49 30": "'+49 30",
    "-2": "'-2",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\r=1": "'\r'=1",
    "\n=1": "'\n'=1",
    "  =1": "'  =1",
    "\uff1d1": "'\uff1d1",
    # with another separator, or in a text import, a cell begins here
    "Anna;=cmd|'/c calc'!A1": "Anna;'=cmd|'/c calc'!A1",
    "Anna,@x": "Anna,'@x",
    "Anna\n+1": "Anna\n'+1",
    'Anna","=1': 'Anna","=1',
    "Anne-Marie": "Anne-Marie",
    "O'Neill; jun.": "O'Neill; jun.",
    "Jürgen": "Jürgen",
}


def test_no_cell_is_a_formula_and_nothing_breaks_out_of_its_cell(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    fill(warehouse, list(NAMES))
    path, n_people = write_list(tmp_path / "lists", "spring", AS_OF)
    assert (path, n_people) == (tmp_path / "lists" / "2026-03-01" / "spring.csv", len(NAMES))
    rows = {row["customer_key"]: row for row in read(path)}
    assert len(rows) == len(NAMES)
    for n, written in enumerate(NAMES.values()):
        row = rows[f"c{n}"]
        assert list(row) == list(COLUMNS)
        assert row["first_name"] == written
        assert (row["email"], row["last_purchase_date"]) == (f"c{n}@example.com", "2025-05-01")
        assert (row["message_state"], row["is_made_up"]) == ("planned", "false")


def test_only_its_owner_can_read_a_list(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    fill(warehouse, ["Anna"])
    before = os.umask(0)
    try:
        path, _ = write_list(tmp_path / "lists", "spring", AS_OF)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "lists").stat().st_mode) == 0o700


def test_whoever_objected_leaves_the_list(warehouse: Warehouse, tmp_path: Path) -> None:
    fill(warehouse, ["Anna", "Ben", "Cleo", "Dora"])
    assert write_list(tmp_path, "spring", AS_OF)[1] == 4
    warehouse.execute(
        "insert into ops.suppression (address_hash, customer_key, scope, reason) values"
        " ('hash c0', null, 'address', 'bounce'), ('x', 'c1', 'person', 'objection'),"
        # an address of c3's that is not in use any more
        " ('y', 'c3', 'address', 'bounce')"
    )
    warehouse.execute("update ops.outreach set state = 'cancelled' where customer_key = 'c2'")
    path, n_people = write_list(tmp_path, "spring", AS_OF)
    assert n_people == 1
    assert [row["first_name"] for row in read(path)] == ["Dora"]
    assert "Anna" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("feed", "said"), [("customers", "true"), ("consents", "true"), ("orders", "false")]
)
def test_a_list_of_made_up_people_says_so(
    warehouse: Warehouse, tmp_path: Path, feed: str, said: str
) -> None:
    fill(warehouse, ["Anna", "Ben"])
    warehouse.execute(
        "insert into ops.feed_status (feed, is_present, is_made_up)"
        " select f, true, f = %s from unnest(array['customers', 'consents', 'orders']) as f",
        (feed,),
    )
    path, _ = write_list(tmp_path, "spring", AS_OF)
    assert COLUMNS[-1] == "is_made_up"
    assert [row["is_made_up"] for row in read(path)] == [said, said]


def test_whoever_objects_later_leaves_the_lists_that_are_there(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    assert refresh_lists(tmp_path / "nowhere") == []
    fill(warehouse, ["Anna", "Ben", "Cleo"])
    path, _ = write_list(tmp_path, "spring", AS_OF)
    # lists of another date and campaign, and what people keep beside them
    others = [tmp_path / "2026-02-01" / path.name, path.with_name("autumn.csv")]
    others += [tmp_path / "mine" / path.name, path.with_name("notes.txt")]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_text("c0", encoding="utf-8")
    assert refresh_lists(tmp_path) == []
    warehouse.execute(
        "insert into ops.suppression (address_hash, customer_key, scope, reason) values"
        " ('hash c0', null, 'address', 'bounce'), ('x', 'c1', 'person', 'unsubscribe'),"
        " ('y', 'c2', 'address', 'bounce')"
    )
    assert refresh_lists(tmp_path) == [path]
    assert [row["first_name"] for row in read(path)] == ["Cleo"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {other.read_text(encoding="utf-8") for other in others} == {"c0"}
    # nobody objected since: the file is not touched
    written = path.stat().st_mtime_ns
    assert refresh_lists(tmp_path) == []
    assert path.stat().st_mtime_ns == written


AGAINST = {
    "consent_withdrawn": "update raw.consents set withdrawn_at = now() where customer_key = 'c0'",
    "channel_not_wanted": "insert into ops.contact_preference"
    " (customer_key, channel, is_wanted, message_id) values ('c0', 'email', false,"
    " gen_random_uuid())",
    "deceased": "update raw.customers set is_deceased = true where customer_key = 'c0'",
    # under another number
    "objected": "update raw.customers set objected_at = now() where customer_key = 'other'",
    "suppressed": "insert into ops.suppression (address_hash, customer_key, scope, reason)"
    " values ('x', 'other', 'person', 'unsubscribe')",
}


@pytest.mark.parametrize(("reason", "told"), AGAINST.items())
def test_whoever_may_not_be_written_to_any_more_leaves_the_lists(
    warehouse: Warehouse, tmp_path: Path, reason: str, told: str
) -> None:
    fill(warehouse, ["Anna", "Ben"])
    merge(warehouse)
    path, n_people = write_list(tmp_path, "spring", AS_OF)
    assert n_people == 2
    warehouse.execute(told)
    assert refresh_lists(tmp_path) == [path]
    assert [row["first_name"] for row in read(path)] == ["Ben"]
    # once, and why
    assert refresh_lists(tmp_path) == []
    assert write_list(tmp_path, "spring", AS_OF)[1] == 1
    assert warehouse.execute(
        "select customer_key, campaign_id, channel, step, is_eligible, reasons from ops.verdict"
    ) == [("c0", "spring", "email", "list", False, [reason])]


def merge(warehouse: Warehouse) -> None:
    """Another customer number, of the first person on the list."""
    warehouse.execute(
        "insert into raw.customers (customer_key, email_hash, registered_at, snapshot_id)"
        " values ('other', 'another', now(), 1)"
    )
    warehouse.execute(
        "insert into ops.customer_merge"
        " (customer_key, winner_key, evidence, email_hash, merged_as_of)"
        " values ('other', 'c0', 'email_without_plus_part', 'another', %s)",
        (AS_OF,),
    )


NOT_AGAINST = {
    "bought": "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
    " snapshot_id) values ('o', 'c0', now(), 1, 'EUR', 1)",
    "wants less": "insert into ops.contact_preference"
    " (customer_key, channel, is_wanted, pause_days, message_id)"
    " values ('c0', 'email', true, 10000, gen_random_uuid())",
    "is held out elsewhere": "insert into ops.assignment (campaign_id, lapse_id, customer_key,"
    " snapshot_id, as_of, occasion, occasion_date, arm, stratum, customer_state, window_starts_at,"
    " window_ends_at, window_days) select 'autumn', lapse_id, customer_key, snapshot_id, as_of,"
    " occasion, occasion_date, 'holdout', stratum, customer_state, window_starts_at,"
    " window_ends_at, 10000 from ops.assignment where customer_key = 'c0'",
    "got another campaign": "insert into ops.outreach (campaign_id, lapse_id, step, channel,"
    " customer_key, address_hash, snapshot_id, as_of, template) select 'autumn', lapse_id, step,"
    " channel, customer_key, address_hash, snapshot_id, '2099-01-01', template from ops.outreach"
    " where customer_key = 'c0'",
}


@pytest.mark.parametrize("told", NOT_AGAINST.values(), ids=NOT_AGAINST)
def test_who_was_written_to_or_came_back_stays_on_the_list(
    warehouse: Warehouse, tmp_path: Path, told: str
) -> None:
    fill(warehouse, ["Anna", "Ben"])
    warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('autumn', '{}')")
    warehouse.execute(told)
    for state in ("claimed", "dispatching", "accepted"):
        warehouse.execute("update ops.outreach set state = %s, accepted_at = now()", (state,))
    _, n_people = write_list(tmp_path, "spring", AS_OF)
    assert (n_people, refresh_lists(tmp_path)) == (2, [])
    [(reasons,)] = warehouse.execute(
        "select reasons from ops.eligibility(array['c0'], array['2026-01-01'::timestamptz],"
        " 'spring', 'email', %s, now(), 24, 0)",
        (AS_OF,),
    )
    assert reasons, "nothing that could be mistaken for an objection"


def test_a_replay_does_not_know_yet_who_objects_later(warehouse: Warehouse, tmp_path: Path) -> None:
    fill(warehouse, ["Anna", "Ben"])
    warehouse.execute("update ops.snapshot set as_of = current_date, completed_at = now()")
    warehouse.execute("update raw.customers set objected_at = now() where customer_key = 'c0'")
    with warehouse.configured(replay=True):
        assert write_list(tmp_path, "spring", AS_OF)[1] == 2
    assert write_list(tmp_path, "spring", AS_OF)[1] == 1


def test_nobody_is_judged_again_while_nothing_was_told(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    fill(warehouse, ["Anna", "Ben"])
    path, _ = write_list(tmp_path, "spring", AS_OF)
    assert refresh_lists(tmp_path) == []
    with ThreadPoolExecutor(1) as pool, psycopg.connect(warehouse.url) as connection:
        connection.execute("lock table raw.consents")
        assert pool.submit(refresh_lists, tmp_path).result(20) == []
    # a campaign that is for something else now is judged by another consent
    warehouse.execute('update ops.campaign set definition = \'{"purpose": "survey"}\'')
    assert refresh_lists(tmp_path) == [path]
    assert read(path) == []
    warehouse.execute("update ops.campaign set definition = '{}'")
    path, _ = write_list(tmp_path, "spring", AS_OF)
    assert refresh_lists(tmp_path) == []
    # what a load brings, and a list that somebody saved
    warehouse.execute("update raw.customers set objected_at = now() where customer_key = 'c0'")
    warehouse.execute(
        "insert into ops.extract_run (snapshot_id, feed, source, n_received, n_passed,"
        " n_quarantined, started_at) values (1, 'customers', 'x', 0, 0, 0, now())"
    )
    old = path.read_bytes()
    assert refresh_lists(tmp_path) == [path]
    assert refresh_lists(tmp_path) == []
    path.write_bytes(old)
    assert refresh_lists(tmp_path) == [path]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8-sig", "utf-16"])
def test_a_list_that_a_spreadsheet_saved_its_own_way_loses_objectors_too(
    warehouse: Warehouse, tmp_path: Path, encoding: str
) -> None:
    fill(warehouse, ["Jürgen", "Ben"])
    path, _ = write_list(tmp_path, "spring", AS_OF)
    saved = path.read_text(encoding="utf-8").replace(",", ";").encode(encoding)
    path.write_bytes(saved)
    warehouse.execute(
        "insert into ops.suppression (address_hash, customer_key, scope, reason)"
        " values ('x', 'c0', 'person', 'objection')"
    )
    assert refresh_lists(tmp_path) == [path]
    assert [row["first_name"] for row in read(path)] == ["Ben"]


def test_a_list_that_can_not_be_finished_leaves_the_old_one_and_no_rest(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    fill(warehouse, ["Anna"])
    path, _ = write_list(tmp_path, "spring", AS_OF)
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(OSError, match="directory"):
        write_list(tmp_path, "spring", AS_OF)
    assert [each.name for each in path.parent.iterdir()] == ["spring.csv"]
    (path / "in the way").unlink()
    path.rmdir()
    assert write_list(tmp_path, "spring", AS_OF)[0].read_bytes() == before


def test_nobody_to_write_to_is_an_empty_list(warehouse: Warehouse, tmp_path: Path) -> None:
    path, n_people = write_list(tmp_path, "spring", AS_OF)
    assert n_people == 0
    assert path.read_text(encoding="utf-8").strip() == ",".join(COLUMNS)
