"""One portion a day for all campaigns and all workers together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, n_planned, send
from tests.ramp_up import insert_dormant, n_claimed, next_day, portions
from winback.errors import DispatchRefused
from winback.outreach import campaign_state, ledger, ramp_up
from winback.outreach.decisions import Decision
from winback.outreach.unknown_messages import resend
from winback.settings import settings
from winback.warehouse import connection as warehouse

pytestmark = pytest.mark.usefixtures("small_portions")


def test_a_portion_is_for_all_campaigns_together(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_dormant(flow, 20, "another")
    configure(flow, monkeypatch, send_batch_size=2)
    assert n_claimed("another") == 2
    assert send(flow)["accepted"] == 1
    assert n_claimed("another") == 0
    assert portions(flow) == [(3, 3)]


def test_several_campaigns_at_once_take_one_portion(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=7, ramp_up_first_portion=333)
    names = ["one", "two", "three", "four"]
    for name in names:
        insert_dormant(flow, 500, name)

    def claim_all(campaign: str) -> int:
        n = 0
        while more := n_claimed(campaign):
            n += more
        return n

    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(claim_all, names))
    assert sum(claimed) == 333
    assert portions(flow) == [(333, 333)]


def test_a_campaign_that_stopped_keeps_the_portion_of_all_as_it_was(flow: MailFlow) -> None:
    insert_dormant(flow, 20, "another")
    assert send(flow)["accepted"] == 3
    with warehouse.connect("sender") as connection:
        campaign_state.stop(connection, {CAMPAIGN: "too many bounces"})
    next_day(flow)
    assert n_claimed("another") == 3


def test_those_of_other_campaigns_go_first_in_the_order_of_their_names(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, ramp_up_first_portion=10)
    n = n_planned(flow)
    insert_dormant(flow, 4, "a")
    insert_dormant(flow, 2, "b")
    flow.warehouse.execute("update ops.campaign set state = 'paused' where campaign_id = 'b'")

    def for_later() -> dict[str, int]:
        with warehouse.connect("sender") as connection:
            held = ramp_up.read_held_back(connection, settings())
        return {name: each.n_for_later for name, each in held.items()}

    # who is paused takes nothing
    assert for_later() == {"a": 0, "b": 0, CAMPAIGN: n - 6}
    assert n_claimed("a") == 4
    assert for_later() == {"b": 0, CAMPAIGN: n - 6}
    assert send(flow)["accepted"] == 6
    assert for_later() == {"b": 2, CAMPAIGN: n - 6}


def test_two_workers_at_once_take_one_portion(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=1, ramp_up_first_portion=5)
    before = flow.sandbox.counts()["accepted"]
    with ThreadPoolExecutor(2) as pool:
        done = [each.result() for each in [pool.submit(send, flow) for _ in range(2)]]
    assert sum(each.get("accepted", 0) for each in done) == 5
    assert flow.sandbox.counts()["accepted"] - before == 5


def test_four_workers_claim_exactly_the_portion_of_thousands(
    flow: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(flow, monkeypatch, send_batch_size=50, ramp_up_first_portion=333)
    flow.warehouse.execute("delete from ops.outreach")
    flow.warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template, is_dormant)"
        " select %s, 'l' || n, 1, 'email', 'k' || n, 'a' || n, %s, %s, 'x', n > 200"
        " from generate_series(1, 2200) as n",
        (CAMPAIGN, flow.snapshot_id, AS_OF),
    )
    config = settings()

    def claim_all(worker: int) -> list[ledger.Claim]:
        claims: list[ledger.Claim] = []
        while True:
            with warehouse.connect("sender") as connection:
                more = ledger.claim(connection, CAMPAIGN, f"w{worker}", config)
            if not more:
                return claims
            claims += more

    with ThreadPoolExecutor(4) as pool:
        claimed = [claim for part in pool.map(claim_all, range(4)) for claim in part]
    assert len({claim.message_id for claim in claimed}) == len(claimed) == 200 + 333
    assert flow.states() == {"claimed": 533, "planned": 2200 - 533}
    # on the next day too, beside claims that are held
    next_day(flow)
    with ThreadPoolExecutor(4) as pool:
        more = [claim for part in pool.map(claim_all, range(4)) for claim in part]
    # nothing of the first portion was accepted, so that it proves nothing
    assert len(more) == 333


def test_what_a_person_orders_once_more_counts_in_the_portion(flow: MailFlow) -> None:
    flow.sandbox.fault("error_500")
    with pytest.raises(DispatchRefused, match="are unknown"):
        send(flow)
    ids = [each for (each,) in flow.warehouse.execute(
        "select message_id from ops.outreach where state = 'unknown'"
    )]  # fmt: skip
    before = flow.sandbox.counts()["accepted"]
    with warehouse.connect("sender") as connection:
        resend(connection, ids, Decision("resend", "the provider has no trace of them", "ann"))
    left = 3 - len(ids)
    assert send(flow).get("accepted", 0) == left
    assert portions(flow) == [(3, 3)]
    assert flow.sandbox.counts()["accepted"] == before + left
