"""Who must not be written to any more, while their message waits at the provider."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.mail_flow import AS_OF, MailFlow, configure, event, n_planned, send
from tests.night import (
    batches,
    buy,
    decide,
    let_time_pass_until,
    told,
)
from winback.errors import DispatchRefused
from winback.outreach.taking_back import look_again
from winback.record.events import record
from winback.record.unsubscribe import unsubscribe


def test_whoever_buys_objects_or_withdraws_while_it_waits_does_not_get_it(
    night: MailFlow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = n_planned(night)
    configure(night, monkeypatch, send_batch_size=8)
    send(night)
    people = night.warehouse.execute(
        "select message_id, customer_key, batch_id from ("
        " select *, row_number() over (partition by batch_id order by message_id) as position,"
        "  count(*) over (partition by batch_id) as n from ops.outreach) as o"
        # the largest first, so that there are others in them
        " where position = 1 order by n desc, batch_id"
    )
    (bought, objected, withdrew, bounced), calm = people[:4], people[4:]
    buy(night, bought[1])
    assert unsubscribe(objected[0])
    night.warehouse.execute(
        "update raw.consents set withdrawn_at = now() - interval '1 minute'"
        " where customer_key = %s",
        (withdrew[1],),
    )
    assert night.post([event("bounce", bounced[0], type="bounce")]) < 300
    # what bounced has left: it does not wait, and nobody else in its batch is concerned
    record()
    reasons = dict(
        night.warehouse.execute(
            "select message_id, reason from ops.outreach where state = 'cancelled'"
        )
    )
    assert reasons[bought[0]] == "returned"
    assert "suppressed" in reasons[objected[0]]
    assert reasons[withdrew[0]] == "consent_withdrawn"
    assert len(reasons) == 3
    # as the ledger says it, with what decided it
    kept = night.warehouse.execute(
        "select o.message_id, v.reasons, v.evidence from ops.verdict as v"
        " inner join ops.outreach as o using (customer_key) where v.step = 'waiting'"
    )
    assert {message_id: ", ".join(why) for message_id, why, _ in kept} == reasons
    evidence = {message_id: found for message_id, _, found in kept}
    assert evidence[bought[0]]["order"].startswith("test-")
    assert evidence[objected[0]]["suppression"]
    assert evidence[withdrew[0]]["withdrawn"]
    states = dict(
        night.warehouse.execute(
            "select batch_id, array_agg(distinct state) from ops.outreach"
            " where state <> 'cancelled' group by batch_id"
        )
    )
    # the others of those batches are planned anew, the other batches wait on
    assert states.pop(None) == ["planned"]
    assert states.pop(bounced[2])[-1] == "bounced"
    assert states == {each[2]: ["accepted"] for each in calm}
    # in the morning
    configure(night, monkeypatch, quiet_hours="")
    send(night)
    assert night.states() == {"cancelled": 3, "bounced": 1, "accepted": n - 4}
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert night.states()["delivered"] == n - 4
    told = {entry["message_id"] for entry in delivered(night)}
    assert told & {str(each) for each in reasons} == set()


def delivered(flow: MailFlow) -> list[dict[str, Any]]:
    rows = flow.warehouse.execute(
        "select message_id from ops.event where kind = 'delivered' and message_id is not null"
    )
    return [{"message_id": str(message_id)} for (message_id,) in rows]


def test_who_changed_their_address_or_lapse_while_it_waits_does_not_get_it(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    send(night)
    moved, moved_key, _ = night.message()
    over, _, _ = night.message(f"message_id > '{moved}'")
    night.warehouse.execute(
        "update ops.outreach set address_hash = 'old' where message_id = %s", (moved,)
    )
    night.warehouse.execute(
        "update ops.outreach set is_lapse_open = false where message_id = %s", (over,)
    )
    back, key, _ = night.message(f"message_id > '{over}'")
    night.cancelled(key, started_at=AS_OF - timedelta(days=1))
    look_again()
    assert dict(
        night.warehouse.execute(
            "select message_id, reason from ops.outreach where state = 'cancelled'"
        )
    ) == {moved: "address_changed", over: "lapse_over", back: "cancellation_over"}
    assert night.warehouse.execute(
        "select evidence ->> 'occasion_date' from ops.verdict"
        " where step = 'waiting' and reasons = array['cancellation_over']"
    ) == [((AS_OF - timedelta(days=90)).isoformat(),)]
    assert night.warehouse.execute(
        "select evidence ->> 'address_of' from ops.verdict"
        " where step = 'waiting' and reasons = array['address_changed']"
    ) == [(moved_key,)]


@pytest.mark.parametrize("is_fit", [True, False], ids=["gate passed", "gate failed"])
def test_who_is_not_wanted_by_now_does_not_get_it(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, is_fit: bool
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    send(night)
    unwanted, key, _ = night.message()
    _, must_win, _ = night.message(f"message_id > '{unwanted}'")
    night.warehouse.execute(
        "insert into marts.fct_customer_rules (customer_key, as_of, kind, rule, because)"
        " values (%s, %s, 'do_not_want', 'made_up', 'sends all of it back'),"
        " (%s, %s, 'must_win', 'made_up', 'buys a lot')",
        (key, AS_OF, must_win, AS_OF),
    )
    night.warehouse.execute(
        "insert into ops.gate_run (snapshot_id, gate, is_passed, n_expectations, n_failed)"
        " values (%s, 'marts', %s, 1, %s)",
        (night.snapshot_id, is_fit, int(not is_fit)),
    )
    try:
        look_again()
        cancelled = night.warehouse.execute(
            "select message_id, reason from ops.outreach where state = 'cancelled'"
        )
        assert cancelled == ([(unwanted, "not_wanted")] if is_fit else [])
        assert night.warehouse.execute(
            "select evidence ->> 'not_wanted' from ops.verdict where step = 'waiting'"
        ) == ([("sends all of it back",)] if is_fit else [])
    finally:
        night.warehouse.execute("delete from marts.fct_customer_rules")
        night.warehouse.execute(
            "delete from ops.gate_run"
            " where gate_run_id = (select max(gate_run_id) from ops.gate_run)"
        )


def test_a_wish_for_fewer_messages_does_not_take_back_the_one_that_waits(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    n = n_planned(night)
    send(night)
    message_id, customer_key, _ = night.message()
    night.warehouse.execute(
        "insert into ops.contact_preference (customer_key, channel, is_wanted, pause_days,"
        " message_id) values (%s, 'email', true, 30, %s)",
        (customer_key, message_id),
    )
    assert look_again() == {}
    assert night.states() == {"accepted": n}


def test_a_batch_under_way_or_unknown_keeps_the_truth(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_timeout_seconds=1)
    night.sandbox.fault("error_500_after_accept")
    with pytest.raises(DispatchRefused, match="unknown"):
        send(night)
    n_unknown = night.states()["unknown"]
    assert n_unknown > 0
    _, customer_key, _ = night.message("state = 'unknown'")
    buy(night, customer_key)
    # whoever bought must not get it, whether the provider has it or not; the rest stays unknown
    assert look_again() == {}
    assert night.states()["unknown"] == n_unknown
    [(_, _, _, confirmed, _)] = batches(night)
    assert confirmed
    assert night.warehouse.execute(
        "select distinct reason from ops.outreach where state = 'unknown'"
    ) == [("HTTP 500; its batch was cancelled at the provider",)]


def test_while_a_request_is_under_way_the_provider_is_not_asked(night: MailFlow) -> None:
    send(night)
    [(batch_id, n)] = night.warehouse.execute(
        "select batch_id, count(*) from ops.outreach group by 1 order by 1 limit 1"
    )
    night.warehouse.execute("alter table ops.outreach disable trigger outreach_transition")
    try:
        night.warehouse.execute(
            "update ops.outreach set state = 'dispatching', lease_until = now() + interval '1 hour'"
            " where batch_id = %s",
            (batch_id,),
        )
    finally:
        night.warehouse.execute("alter table ops.outreach enable trigger outreach_transition")
    done = decide("cancel")
    assert done.left["their request is under way"] == n
    assert night.states()["dispatching"] == n
    assert batch_id not in told(night)
    assert told(night) == {each for each, _, _, is_cancelled, _ in batches(night) if is_cancelled}
