"""A person pauses, resumes or cancels a campaign, by the command or by the button in Airflow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.decisions import Call, decide, decisions
from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, n_planned, send
from winback import operators
from winback.outreach import campaign_state, last_check, ledger
from winback.outreach.decisions import NotDecided
from winback.record.events import record
from winback.settings import settings
from winback.terminal import user_name
from winback.warehouse import connection as warehouse


def test_a_paused_campaign_sends_nothing_until_it_is_resumed(flow: MailFlow, call: Call) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    code, out, _ = call("pause", CAMPAIGN, "--reason", "wrong price")
    assert (code, f"{n} messages wait" in out) == (0, True)
    assert send(flow) == {}
    assert (flow.sandbox.counts()["requests"], n_planned(flow)) == (before, n)
    _, out, _ = call("status")
    assert "paused" in out
    assert "wrong price" in out
    assert f"{n} planned" in out
    code, out, _ = call("resume", CAMPAIGN, "--reason", "price mended")
    assert (code, f"{n} messages go out" in out) == (0, True)
    assert send(flow)["accepted"] == n
    [line] = [each for each in call("status")[1].splitlines() if CAMPAIGN in each]
    assert "running" in line
    assert "wrong price" not in line
    assert decisions(flow) == [
        ("pause", CAMPAIGN, None, None, "wrong price", user_name(), True),
        ("resume", CAMPAIGN, None, None, "price mended", user_name(), True),
    ]


def test_a_cancelled_campaign_is_over_for_living_workers_too(flow: MailFlow, call: Call) -> None:
    n, before = n_planned(flow), flow.sandbox.counts()["requests"]
    [key] = {flow.message()[0]}
    config = settings()
    with warehouse.connect("sender") as connection:
        claims = ledger.claim(connection, CAMPAIGN, "alive", config)
        under_way = ledger.mark_dispatching(connection, claims[:1], config)
    assert flow.states() == {"claimed": n - 1, "dispatching": 1}
    code, out, _ = call("cancel", CAMPAIGN, "--reason", "the offer ended")
    assert (code, f"{n - 1} messages that were not sent" in out) == (0, True)
    assert flow.states() == {"cancelled": n - 1, "dispatching": 1}
    assert flow.reasons()["campaign_cancelled"] == n - 1
    with warehouse.connect("sender") as connection:
        assert last_check.check(connection, claims, CAMPAIGN, flow.snapshot_id, AS_OF, config) == []
        assert ledger.mark_dispatching(connection, claims, config) == []
        ledger.release(connection, claims)
        # the request under way met a rate limit
        ledger.back_to_planned(connection, under_way, "the mail API's rate limit")
        campaign_state.stop(connection, {CAMPAIGN: "HTTP 401"})
    assert flow.states() == {"cancelled": n - 1, "planned": 1}
    assert send(flow) == {}
    assert flow.states() == {"cancelled": n}
    assert flow.sandbox.counts()["requests"] == before
    assert flow.warehouse.execute("select state, state_reason from ops.campaign") == [
        ("cancelled", "the offer ended")
    ]
    assert flow.warehouse.execute(
        "select count(*) from ops.outreach where message_id = %s", (key,)
    ) == [(1,)]


def test_what_a_later_selection_plans_for_a_cancelled_campaign_is_cancelled_by_record(
    flow: MailFlow,
) -> None:
    n = n_planned(flow)
    decide("cancel")
    flow.warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template) select campaign_id, 'later', step, channel,"
        " customer_key, 'later', snapshot_id, as_of, template from ops.outreach limit 1"
    )
    assert n_planned(flow) == 1
    record()
    assert flow.states() == {"cancelled": n + 1}


def test_cancelling_has_no_way_back(flow: MailFlow) -> None:
    decide("cancel")
    for word in ("resume", "pause", "cancel"):
        with pytest.raises(NotDecided, match="cancelled for good: give its file another name"):
            decide(word)
    with pytest.raises(psycopg.errors.CheckViolation, match="cancelled for good"):
        flow.warehouse.execute("update ops.campaign set state = 'running'")
    assert len(decisions(flow)) == 1


def test_a_decision_that_changes_nothing_or_says_nothing_is_refused(
    flow: MailFlow, call: Call
) -> None:
    code, _, err = call("pause", "welcome", "--reason", "x")
    assert code == 1
    assert "there is no campaign 'welcome': the campaigns are welcome_back" in err
    with pytest.raises(NotDecided, match="running already"):
        decide("resume")
    decide("pause")
    with pytest.raises(NotDecided, match=r"paused already: nothing is sent until \./winback out"):
        decide("pause")
    with pytest.raises(NotDecided, match='--reason "…" why you cancel'):
        decide("cancel", "  ")
    assert [each[0] for each in decisions(flow)] == ["pause"]
    flow.warehouse.execute("truncate ops.outreach_decision, ops.outreach, ops.assignment,"
                           " ops.scheduled_batch, ops.campaign, ops.event")  # fmt: skip
    with pytest.raises(NotDecided, match="no campaign has selected yet"):
        decide("pause")


def test_the_stop_button_of_airflow_keeps_who_pressed_it_and_why(flow: MailFlow) -> None:
    def press(decision: str, **said: str) -> dict[str, Any]:
        params = {"campaign": CAMPAIGN, "decision": decision, "reason": "wrong price"} | said
        run = SimpleNamespace(triggering_user_name="ann")
        done: dict[str, Any] = operators.hold.function(params=params, dag_run=run)
        return done

    n = n_planned(flow)
    assert press("pause") == {"n_messages": n, "taken_back": {}, "left": {}}
    assert send(flow) == {}
    with pytest.raises(NotDecided, match="is paused already"):
        press("pause")
    with pytest.raises(NotDecided, match="there is no campaign 'other'"):
        press("pause", campaign="other")
    assert press("resume") == {"n_messages": n}
    assert press("cancel")["n_messages"] == n
    assert flow.states() == {"cancelled": n}
    assert flow.warehouse.execute(
        "select decision, reason, decided_by from ops.outreach_decision order by decision_id"
    ) == [(word, "wrong price", "ann") for word in ("pause", "resume", "cancel")]
