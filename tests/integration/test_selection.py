"""The step select on a real warehouse: verdicts, the draw, and who may be selected from at all."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import RFC_4122

import psycopg
import pytest

from tests.conftest import PROJECT, Warehouse
from tests.flow import gates_have_passed, up_to_gate, up_to_select
from tests.small_shop import SmallShop, small_shop
from winback.errors import CampaignError, DispatchRefused, SourceError
from winback.extract.snapshot import extract, newest_live
from winback.privacy.keyed_hash import address_hash, customer_key
from winback.select import planned_messages, verdicts
from winback.select.selection import select
from winback.settings import settings

AS_OF = date(2025, 3, 1)


@pytest.fixture
def shop(warehouse: Warehouse) -> SmallShop:
    shop = small_shop(warehouse.data, AS_OF)
    warehouse.configure(sources=shop.write(), dataset="shop", replay=True, max_candidates_pct=100)
    return shop


def reasons(warehouse: Warehouse) -> dict[str, str]:
    return dict(
        warehouse.execute("select customer_key, reason from ops.assignment where arm = 'excluded'")
    )


def test_everybody_who_lapsed_is_treated_held_out_or_excluded_with_the_reason(
    warehouse: Warehouse, shop: SmallShop
) -> None:
    del shop.consents[0]
    shop.consents[0]["confirmed"] = ""
    shop.consents[1]["withdrawn"] = "2025-02-01"
    shop.consents[2]["confirmed"] = shop.consents[2]["granted"] = "2022-12-01"
    shop.customers[4]["email"] = ""
    shop.write()
    warehouse.execute(
        "insert into ops.suppression (address_hash, scope, reason)"
        " values (%s, 'address', 'bounce')",
        (address_hash("email", "Lapsed-05@example.com "),),
    )
    _, [selected] = up_to_select(AS_OF)
    expected = {
        "lapsed-00": "consent_missing",
        "lapsed-01": "consent_unconfirmed",
        "lapsed-02": "consent_withdrawn",
        "lapsed-03": "consent_unused_too_long",
        "lapsed-04": "no_address",
        "lapsed-05": "suppressed",
    }
    assert reasons(warehouse) == {customer_key("shop", k): v for k, v in expected.items()}
    # 14 of one stratum or more; the holdout is a fifth, at least one per stratum
    assert selected.n_excluded == 6
    assert selected.n_treated + selected.n_holdout == 14
    assert 2 <= selected.n_holdout <= 4
    assert selected.n_planned == selected.n_treated
    assert warehouse.execute("select count(*), count(distinct customer_key) from ops.verdict") == [
        (20, 20)
    ]


def test_the_servers_processes_share_the_judging(
    warehouse: Warehouse, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan: list[str] = []
    judge = verdicts.judge

    def judge_and_explain(connection: psycopg.Connection, values: dict[str, Any]) -> None:
        judge(connection, values)
        connection.execute("drop table judged")
        rows = connection.execute(f"explain {verdicts.JUDGE}", values).fetchall()
        plan.extend(row for (row,) in rows)
        connection.execute("drop table audience")
        judge(connection, values)

    monkeypatch.setattr(verdicts, "judge", judge_and_explain)
    up_to_select(AS_OF)
    workers = int(warehouse.execute("show max_parallel_workers_per_gather")[0][0])
    assert workers > 1
    assert [row.strip() for row in plan if "Workers" in row] == [f"Workers Planned: {workers}"]
    parts = [row for row in plan if "Function Scan on eligibility" in row]
    assert len(parts) == verdicts.PARTS


def test_a_repeated_selection_draws_nobody_again(warehouse: Warehouse, shop: SmallShop) -> None:
    snapshot_id, [first] = up_to_select(AS_OF)
    before = warehouse.execute("select * from ops.assignment order by assignment_id")
    planned = warehouse.execute("select * from ops.outreach order by message_id")
    assert first.n_treated > 0
    assert {(message_id.version, message_id.variant) for message_id, *_ in planned} == {
        (7, RFC_4122)
    }
    # what is sent together lies together
    assert [row[0] for row in planned] == [
        message_id
        for (message_id,) in warehouse.execute(
            "select message_id from ops.outreach order by claim_order"
        )
    ]
    [again] = select(snapshot_id, AS_OF)
    _, [next_day] = up_to_select(AS_OF + timedelta(days=1))
    assert (again.n_excluded, again.n_holdout, again.n_treated, again.n_planned) == (0, 0, 0, 0)
    assert next_day.n_treated == 0
    assert warehouse.execute("select * from ops.assignment order by assignment_id") == before
    assert warehouse.execute("select * from ops.outreach order by message_id") == planned


def test_messages_that_a_selection_did_not_come_to_are_planned_by_the_next(
    warehouse: Warehouse, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection dies after the draw was committed, and before the messages are."""
    plan = planned_messages.plan

    def plan_and_die(planning: psycopg.Connection, values: dict[str, Any]) -> int:
        n_planned = plan(planning, values)
        warehouse.execute("select pg_terminate_backend(%s)", (planning.info.backend_pid,))
        return n_planned

    with monkeypatch.context() as patched, pytest.raises(psycopg.OperationalError):
        patched.setattr(planned_messages, "plan", plan_and_die)
        up_to_select(AS_OF)
    arms = "select arm, count(*)::int from ops.assignment where arm <> 'excluded' group by arm"
    drawn = dict(warehouse.execute(arms))
    assert drawn["treated"] > 0
    assert warehouse.execute("select count(*) from ops.outreach") == [(0,)]
    _, [next_day] = up_to_select(AS_OF + timedelta(days=1))
    assert (next_day.n_treated, next_day.n_holdout) == (0, 0)
    assert next_day.n_planned == drawn["treated"]
    assert dict(warehouse.execute(arms)) == drawn
    written_to = warehouse.execute(
        "select a.arm, count(*)::int from ops.outreach as o"
        " inner join ops.assignment as a using (campaign_id, lapse_id) group by a.arm"
    )
    assert written_to == [("treated", drawn["treated"])]


def test_two_selections_at_once_draw_and_plan_nobody_twice(
    warehouse: Warehouse, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_id = up_to_gate(AS_OF)
    judge = verdicts.judge
    both = threading.Semaphore(0)

    def judge_while_the_other_waits(connection: psycopg.Connection, values: dict[str, Any]) -> None:
        judge(connection, values)
        if both.acquire(blocking=False):
            return
        deadline = time.monotonic() + 30
        while not warehouse.execute(
            "select 1 from pg_stat_activity"
            " where datname = current_database() and wait_event = 'advisory'"
        ):
            assert time.monotonic() < deadline, "the other selection did not come"
            time.sleep(0.02)
        both.release()

    monkeypatch.setattr(verdicts, "judge", judge_while_the_other_waits)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: select(snapshot_id, AS_OF), range(2))
    added = sorted((each.n_treated + each.n_holdout, each.n_planned) for [each] in (first, second))
    assert added[0] == (0, 0)
    assert added[1][0] == 20
    assert added[1][1] > 0
    assert warehouse.execute(
        "select count(*), count(distinct customer_key) from ops.assignment"
    ) == [(20, 20)]
    assert warehouse.execute("select count(*), count(distinct customer_key) from ops.outreach") == [
        (added[1][1], added[1][1])
    ]


def test_who_was_excluded_is_drawn_once_nothing_speaks_against_it_any_more(
    warehouse: Warehouse, shop: SmallShop
) -> None:
    late = shop.consents.pop(0)
    shop.write()
    up_to_select(AS_OF)
    late["granted"] = late["confirmed"] = AS_OF.isoformat()
    shop.consents.insert(0, late)
    shop.write()
    _, [selected] = up_to_select(AS_OF + timedelta(days=1))
    assert (selected.n_treated + selected.n_holdout, selected.n_excluded) == (1, 0)
    arms = warehouse.execute(
        "select arm from ops.assignment where customer_key = %s order by assignment_id",
        (customer_key("shop", "lapsed-00"),),
    )
    assert len(arms) == 2
    assert arms[0] == ("excluded",)


def test_two_people_with_one_address_get_one_message(warehouse: Warehouse, shop: SmallShop) -> None:
    for n, customer in enumerate(shop.customers[:20]):
        # other names: without them they would count as one person
        customer |= {"email": "Household@Example.com", "first_name": f"Member {n}"}
    shop.write()
    _, [selected] = up_to_select(AS_OF)
    assert selected.n_treated + selected.n_holdout == 1
    assert selected.n_planned == selected.n_treated
    assert list(reasons(warehouse).values()) == ["address_of_another_customer"] * 19
    assert warehouse.execute(
        "select distinct evidence ->> 'address' from ops.verdict where not is_eligible"
    ) == warehouse.execute("select distinct address_hash from ops.outreach")
    # whoever stands for them may be erased, and these rows stay
    [(stands_for_all,)] = warehouse.execute(
        "select customer_key from ops.assignment where arm <> 'excluded'"
    )
    assert warehouse.execute(
        "select count(*) from ops.verdict where evidence::text like %s", (f"%{stands_for_all}%",)
    ) == [(0,)]
    # the others stay excluded, whoever of them comes first by key
    [again] = up_to_select(AS_OF + timedelta(days=1))[1]
    assert (again.n_treated, again.n_holdout, again.n_excluded) == (0, 0, 0)


def test_a_new_lapse_after_a_return_is_planned_anew(warehouse: Warehouse, shop: SmallShop) -> None:
    warehouse.configure(lapse_multiplier=0.5)
    _, [first] = up_to_select(AS_OF)
    treated = {k for (k,) in warehouse.execute("select customer_key from ops.outreach")}
    for n in range(20):
        shop.buy(f"lapsed-{n:02}", -10)
    shop.buy("active-00", -398)
    shop.write()
    _, [second] = up_to_select(AS_OF + timedelta(days=400))
    assert first.n_planned == len(treated) > 10
    again = warehouse.execute(
        "select count(*) from ops.outreach where customer_key = any(%s)"
        " group by customer_key having count(*) = 2",
        (list(treated),),
    )
    assert len(again) > 5
    assert second.n_planned == second.n_treated


def test_a_corrected_order_does_not_draw_the_same_silence_again(
    warehouse: Warehouse, shop: SmallShop
) -> None:
    """A late order names every lapse anew; holdouts stay alone, and nobody is counted twice."""
    _, [first] = up_to_select(AS_OF)
    assert first.n_holdout >= 3
    for n in range(20):
        shop.buy(f"lapsed-{n:02}", 249 + n)
    shop.write()
    _, [second] = up_to_select(AS_OF + timedelta(days=1))
    assert (second.n_holdout, second.n_treated) == (0, 0)
    assert second.n_excluded == first.n_holdout + first.n_treated
    assert set(reasons(warehouse).values()) == {"drawn_under_another_lapse"}
    assert warehouse.execute(
        "select count(*), count(distinct drawn.assignment_id) from ops.verdict as v"
        " inner join ops.assignment as drawn on drawn.customer_key = v.customer_key"
        "  and drawn.assignment_id = (v.evidence ->> 'assignment')::bigint"
        "  and drawn.arm <> 'excluded'"
        " where v.reasons = array['drawn_under_another_lapse']"
    ) == [(second.n_excluded, second.n_excluded)]


def test_two_campaigns_do_not_write_to_the_same_person(
    warehouse: Warehouse, shop: SmallShop, tmp_path: Path
) -> None:
    folder = tmp_path / "campaigns"
    shutil.copytree(PROJECT / "campaigns", folder)
    shutil.copy(folder / "welcome_back.yaml", folder / "a_second_one.yaml")
    warehouse.configure(campaigns=folder)
    _, [earlier, later] = up_to_select(AS_OF)
    assert (earlier.campaign, later.campaign) == ("a_second_one", "welcome_back")
    assert earlier.n_treated + earlier.n_holdout == 20
    assert later.n_treated + later.n_holdout == 0
    told = warehouse.execute(
        "select reason, count(*)::int from ops.assignment where arm = 'excluded' group by 1"
    )
    assert dict(told) == {
        "contacted_by_another_campaign": earlier.n_treated,
        "holdout_of_another_campaign": earlier.n_holdout,
    }


def test_a_cancelled_campaign_draws_nobody_any_more(warehouse: Warehouse, shop: SmallShop) -> None:
    snapshot_id, [selected] = up_to_select(AS_OF)
    assert selected.n_planned > 0
    warehouse.execute("update ops.campaign set state = 'cancelled'")
    shop.add("later", 300)
    shop.write()
    snapshot_id = up_to_gate(AS_OF)
    assert select(snapshot_id, AS_OF) == []
    later = customer_key("shop", "later")
    query = "select count(*) from ops.assignment where customer_key = %s"
    assert warehouse.execute(query, (later,)) == [(0,)]


def test_nothing_is_selected_from_a_backfill_an_older_date_or_an_ungated_snapshot(
    warehouse: Warehouse, shop: SmallShop
) -> None:
    shop.buy("active-00", 31)
    shop.write()
    newest = up_to_gate(AS_OF)
    backfill = up_to_gate(AS_OF - timedelta(days=30), is_backfill=True)
    assert gates_have_passed(backfill)
    with pytest.raises(DispatchRefused, match="backfills compute, never send"):
        select(backfill, AS_OF - timedelta(days=30))
    with pytest.raises(DispatchRefused, match="is of 2025-03-01, not of 2025-02-28"):
        select(newest, AS_OF - timedelta(days=1))
    with pytest.raises(DispatchRefused, match="there is no snapshot 99"):
        select(99, AS_OF)
    later = up_to_gate(AS_OF + timedelta(days=1))
    with pytest.raises(DispatchRefused, match="is not the newest"):
        select(newest, AS_OF)
    warehouse.execute("delete from ops.gate_result")
    warehouse.execute("delete from ops.gate_run where gate = 'marts'")
    with pytest.raises(DispatchRefused, match="has not passed the gates"):
        select(later, AS_OF + timedelta(days=1))
    assert warehouse.execute("select count(*) from ops.assignment") == [(0,)]


def test_nothing_is_extracted_for_a_day_to_come(warehouse: Warehouse, shop: SmallShop) -> None:
    with pytest.raises(SourceError, match="lies in the future: choose"):
        extract(settings().today() + timedelta(days=1), "live")
    assert warehouse.execute("select count(*) from ops.snapshot") == [(0,)]


def test_a_snapshot_that_failed_half_way_is_not_the_newest(
    warehouse: Warehouse, shop: SmallShop
) -> None:
    snapshot_id = up_to_gate(AS_OF)
    (shop.folder / "consents.csv").unlink()
    with pytest.raises(SourceError, match=r"consents\.csv"):
        extract(AS_OF + timedelta(days=1), "live")
    assert warehouse.execute("select count(*) from ops.snapshot") == [(2,)]
    assert newest_live() == (snapshot_id, AS_OF)
    [selected] = select(snapshot_id, AS_OF)
    assert selected.n_treated > 0


def test_a_wrong_campaign_file_selects_nobody(
    warehouse: Warehouse, shop: SmallShop, tmp_path: Path
) -> None:
    folder = tmp_path / "campaigns"
    folder.mkdir()
    (folder / "spring.yaml").write_text("goal: x\nholdout: 20\n", encoding="utf-8")
    warehouse.configure(campaigns=folder)
    snapshot_id = up_to_gate(AS_OF)
    with pytest.raises(CampaignError, match=r"spring.yaml, .*line 2: `holdout` is no key"):
        select(snapshot_id, AS_OF)
    assert warehouse.execute("select count(*) from ops.assignment") == [(0,)]
