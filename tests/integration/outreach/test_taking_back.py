"""How messages that wait at the provider are taken back, and what the database allows of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.mail_flow import AS_OF, CAMPAIGN, MailFlow, configure, n_planned, run_task_outreach, send
from tests.night import (
    ask_sandbox,
    batches,
    buy,
    decide,
    let_time_pass_until,
    lose_answers,
    told,
)
from winback import __main__ as command
from winback.outreach import campaign_state, ledger
from winback.outreach.decisions import Decision, Word
from winback.outreach.dispatch import outreach
from winback.outreach.taking_back import TakenBack, look_again
from winback.record.events import record
from winback.warehouse import connection as warehouse


@pytest.mark.parametrize(("word", "state"), [("cancel", "cancelled"), ("pause", "planned")])
def test_a_campaign_that_is_held_takes_back_what_waits(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, word: Word, state: str
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    n, before = n_planned(night), night.sandbox.counts()
    send(night)
    assert decide(word) == TakenBack({state: n}, {})
    assert night.states() == {state: n}
    reason = "campaign_cancelled" if state == "cancelled" else None
    assert night.reasons() == {reason: n}
    # nothing says any more that they were sent
    assert night.warehouse.execute(
        "select count(accepted_at), count(provider_message_id), count(dispatching_at)"
        " from ops.outreach"
    ) == [(0, 0, 0)]
    let_time_pass_until(night, timedelta(0))
    assert night.sandbox.wait_for_events()["events_posted"] == before["events_posted"]
    record()
    assert night.states() == {state: n}


def test_the_command_says_what_waits_what_was_taken_back_and_what_was_not(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["winback", "outreach", *arguments])
        capsys.readouterr()
        assert command.main() == 0
        return capsys.readouterr().out

    loud = f"30 {(datetime.now(UTC).hour + 6) % 24} * * *"
    configure(night, monkeypatch, send_batch_size=1, schedule_outreach=loud, schedule_ingest="none")
    n = n_planned(night)
    send(night)
    [(send_at,)] = night.warehouse.execute("select max(send_at) from ops.outreach")
    said = f"10 accepted messages of {CAMPAIGN} wait at the provider until {send_at:%Y-%m-%d %H:%M}"
    assert said in call("status")
    assert "nothing is sent at once" not in call("status")
    configure(night, monkeypatch, schedule_outreach=f"30 {datetime.now(UTC):%H} * * *")
    assert "quiet_hours" in call("status").splitlines()[0]
    assert "nothing is sent at once" in call("status")
    night.sandbox.fault("error_500", request="scheduled_sends", requests=1)
    said = call("pause", CAMPAIGN, "--reason", "wrong price")
    assert f"{CAMPAIGN} is paused: {n - 10} messages wait" in said
    assert "9 messages were taken back from the mail provider and are planned" in said
    assert "1 messages could not be taken back from the mail provider: HTTP 500" in said
    assert "now: ./winback run winback_events" in said
    assert f"1 accepted messages of {CAMPAIGN} wait" in call("status")


def test_the_task_warns_when_nothing_may_be_sent_at_once(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = f"30 {datetime.now(UTC):%H} * * *"
    configure(night, monkeypatch, schedule_outreach=quiet, schedule_ingest="none")
    run_task_outreach(night)
    said = [each.getMessage() for each in caplog.records if each.name == "winback.operators"]
    assert sum("nothing is sent at once" in each for each in said) == 1


def n_counted(flow: MailFlow) -> int:
    """How many messages count, or will once their time has come."""
    [(n,)] = flow.warehouse.execute(
        "select coalesce(sum(n_accepted), 0)::int from ops.delivery_tally"
        " where sent_at >= coalesce((select max(decided_at) from ops.outreach_decision"
        "  where decision = 'resume'), '-infinity')"
    )
    return int(n)


def test_what_was_taken_back_counts_once_against_the_thresholds(night: MailFlow) -> None:
    n = n_planned(night)
    send(night)
    assert n_counted(night) == n
    decide("pause")
    assert n_counted(night) == 0
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("resume", "for the test", "ann"))
    send(night)
    assert n_counted(night) == n


def test_what_waits_over_a_resume_counts_after_it_but_not_what_is_taken_back(
    night: MailFlow,
) -> None:
    n = n_planned(night)
    send(night)
    with warehouse.connect("sender") as connection:
        for word in ("pause", "resume"):
            campaign_state.decide(connection, CAMPAIGN, Decision(word, "for the test", "ann"))
    buy(night, night.message()[1])
    moved = sum(look_again().values())
    assert 0 < moved < n
    assert n_counted(night) == n - moved


def test_what_is_taken_back_on_a_later_day_waits_for_a_portion(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, ramp_up_first_portion=3)
    n = n_planned(night)
    assert send(night)["accepted"] == 3
    older = night.warehouse.execute("select customer_key from ops.outreach where batch_id > ''")
    night.warehouse.execute(
        "update ops.ramp_up_day set day = day - 1, begun_at = begun_at - interval '1 day'"
    )
    night.warehouse.execute(
        "update ops.outreach set dispatching_at = dispatching_at - interval '1 day',"
        " accepted_at = accepted_at - interval '1 day', portion_day = portion_day - 1"
        " where state = 'accepted'"
    )
    assert send(night)["accepted"] == 6
    # of the first day
    buy(night, older[0][0])
    moved = look_again()
    assert moved["cancelled"] == 1
    held = "select count(*) from ops.outreach where is_dormant and state = 'planned'"
    assert night.warehouse.execute(held) == [(n - 9 + moved["planned"],)]
    assert send(night).get("accepted", 0) == 0
    # of today: it was in today's portion, and may go again
    [(today,)] = night.warehouse.execute(
        "select customer_key from ops.outreach where state = 'accepted'"
        " and dispatching_at > now() - interval '1 hour' order by message_id limit 1"
    )
    night.warehouse.execute("delete from raw.orders where order_id = 'test-1'")
    buy(night, today)
    moved = look_again()
    assert send(night).get("accepted", 0) == moved["planned"]


def test_a_command_tells_of_its_own_campaign_alone(night: MailFlow) -> None:
    n = n_planned(night)
    send(night)
    other = ask_sandbox(night, "POST", "mail/batch").json()["batch_id"]
    night.warehouse.execute("insert into ops.campaign (campaign_id, definition) values ('b', '{}')")
    night.warehouse.execute(
        "insert into ops.scheduled_batch (batch_id, campaign_id, as_of, send_at, cancel_asked_at)"
        " select %s, 'b', as_of, max(send_at), now() from ops.scheduled_batch group by as_of",
        (other,),
    )
    night.warehouse.execute(
        "insert into ops.outreach (campaign_id, lapse_id, step, channel, customer_key,"
        " address_hash, snapshot_id, as_of, template)"
        " values ('b', 'l', 1, 'email', 'k', 'a', %s, %s, 'b')",
        (night.snapshot_id, AS_OF),
    )
    for state in ("claimed", "dispatching", "accepted"):
        night.warehouse.execute(
            "update ops.outreach set state = %s, batch_id = %s, send_at ="
            " (select max(send_at) from ops.scheduled_batch) where campaign_id = 'b'",
            (state, other),
        )
    assert decide("pause") == TakenBack({"planned": n}, {})
    assert night.states() == {"planned": n, "accepted": 1}
    assert sum(look_again().values()) == 1


def test_what_a_late_worker_hands_in_under_a_cancelled_batch_is_not_lost(
    night: MailFlow,
) -> None:
    n = n_planned(night)
    send(night)
    [(batch_id, n_late)] = night.warehouse.execute(
        "select batch_id, count(*) from ops.outreach group by 1 order by 1 limit 1"
    )
    # a worker that stands still between its commit and its request
    night.warehouse.execute("alter table ops.outreach disable trigger outreach_transition")
    night.warehouse.execute(
        "update ops.outreach set state = 'unknown', accepted_at = null, reason = 'stood still'"
        " where batch_id = %s",
        (batch_id,),
    )
    night.warehouse.execute("alter table ops.outreach enable trigger outreach_transition")
    decide("pause")
    assert night.states() == {"planned": n - n_late, "unknown": n_late}
    late = night.warehouse.execute(
        "select message_id, fence from ops.outreach where state = 'unknown'"
    )
    with warehouse.connect("sender") as connection:
        ledger.accepted(connection, [ledger.Claim(*each) for each in late], "later")
    # the provider took them and will not send them
    assert look_again() == {"planned": n_late}
    assert night.states() == {"planned": n}


def test_what_was_taken_back_is_sent_anew_and_arrives_once(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    n, before = n_planned(night), night.sandbox.counts()
    send(night)
    decide("pause")
    assert send(night) == {}
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("resume", "for the test", "ann"))
    assert send(night)["accepted"] == n
    after = night.sandbox.counts()
    assert after["accepted"] - before["accepted"] == 2 * n
    assert after["max_per_key"] == 1
    let_time_pass_until(night, timedelta(0))
    told = night.sandbox.wait_for_events()["events_posted"] - before["events_posted"]
    assert told == 2 * n  # processed and delivered, of one copy each
    record()
    assert night.states() == {"delivered": n}


def test_no_more_waits_there_than_can_be_taken_back(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_batch_size=1, send_connections=3)
    n = n_planned(night)
    assert send(night)["accepted"] == 10
    assert night.states() == {"accepted": 10, "planned": n - 10}
    # a cancelled one keeps its place until its time
    assert decide("pause") == TakenBack({"planned": 10}, {})
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("resume", "for the test", "ann"))
    assert send(night).get("accepted", 0) == 0
    assert night.states() == {"planned": n}
    # by day everything goes out at once
    configure(night, monkeypatch, quiet_hours="")
    assert send(night)["accepted"] == n


def test_in_the_last_ten_minutes_nothing_is_taken_back(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    n = n_planned(night)
    send(night)
    let_time_pass_until(night, timedelta(minutes=9))
    done = decide("cancel")
    assert done == TakenBack(
        left={"they are due within ten minutes, and the provider takes nothing back then": n}
    )
    assert night.states() == {"accepted": n}
    # and the provider was not asked: it says yes and sends all the same
    assert told(night) == set()


@pytest.mark.parametrize("mode", ["refuse_401", "rate_limit_429", "error_500", "hang"])
def test_without_a_confirmation_everything_stays_accepted_and_is_asked_again(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    configure(night, monkeypatch, send_batch_size=1000, send_timeout_seconds=1)
    n = n_planned(night)
    send(night)
    n_batches = len(batches(night))
    night.sandbox.fault(mode, request="scheduled_sends", requests=n_batches, seconds=2)
    done = decide("cancel")
    assert (done.moved, sum(done.left.values())) == ({}, n)
    assert night.states() == {"accepted": n}
    assert {(asked, confirmed) for _, _, asked, confirmed, _ in batches(night)} == {(True, False)}
    record()
    assert night.states() == {"cancelled": n}


@pytest.mark.parametrize("is_list_silent", [False, True])
def test_an_answer_that_was_lost_is_found_by_asking_again(
    night: MailFlow, is_list_silent: bool
) -> None:
    n = n_planned(night)
    send(night)
    n_batches = len(batches(night))
    lose_answers(night, 2 * n_batches if is_list_silent else 1)
    moved = decide("cancel").moved
    # the provider did cancel them, and refuses to do so twice
    assert told(night) == {batch_id for batch_id, *_ in batches(night)}
    if is_list_silent:
        assert moved == {}
        assert night.states() == {"accepted": n}
        moved = look_again()
    assert moved == night.states() == {"cancelled": n}


def test_what_somebody_paused_at_the_provider_is_not_taken_for_cancelled(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(night, monkeypatch, send_batch_size=1000)
    n = n_planned(night)
    send(night)
    for batch_id, *_ in batches(night):
        wish = {"batch_id": batch_id, "status": "pause"}
        assert ask_sandbox(night, "POST", "user/scheduled_sends", json=wish).status_code == 201
    assert decide("cancel").left == {"somebody paused it at the provider: cancel it there": n}
    assert night.states() == {"accepted": n}
    for batch_id, *_ in batches(night):
        path = f"user/scheduled_sends/{batch_id}"
        assert ask_sandbox(night, "PATCH", path, json={"status": "cancel"}).status_code == 204
    assert look_again() == {"cancelled": n}


# What the database allows


def test_the_database_takes_back_nothing_without_a_confirmed_cancellation(
    night: MailFlow,
) -> None:
    send(night)
    message_id, _, _ = night.message()
    move = "update ops.outreach set state = %s where message_id = %s"
    for state in ("planned", "cancelled"):
        with pytest.raises(psycopg.errors.CheckViolation, match="no confirmed cancellation"):
            night.warehouse.execute(move, (state, message_id))
    confirm = "update ops.scheduled_batch set cancel_asked_at = now(), cancelled_at = {}"
    with pytest.raises(psycopg.errors.CheckViolation):
        # in the last ten minutes a confirmation is none
        night.warehouse.execute(confirm.format("send_at - interval '9 minutes'"))
    with pytest.raises(psycopg.errors.CheckViolation):
        night.warehouse.execute("update ops.scheduled_batch set cancelled_at = now()")
    night.warehouse.execute(confirm.format("now()"))
    night.warehouse.execute(move, ("planned", message_id))
    assert night.warehouse.execute(
        "select state, batch_id, send_at from ops.outreach where message_id = %s", (message_id,)
    ) == [("planned", None, None)]
    # once its time has come there is no way back
    other, _, _ = night.message("state = 'accepted'")
    for table in ("ops.scheduled_batch", "ops.outreach"):
        night.warehouse.execute(f"update {table} set send_at = now()" + (
            ", cancelled_at = now() - interval '11 minutes'" if "batch" in table else ""
        ))  # fmt: skip
    with pytest.raises(psycopg.errors.CheckViolation, match="no confirmed cancellation"):
        night.warehouse.execute(move, ("cancelled", other))


def test_whoever_is_on_no_batch_is_sent_for_good(flow: MailFlow) -> None:
    outreach(flow.snapshot_id, AS_OF)
    message_id, _, _ = flow.message()
    with pytest.raises(psycopg.errors.CheckViolation, match="no confirmed cancellation"):
        flow.warehouse.execute(
            "update ops.outreach set state = 'cancelled' where message_id = %s", (message_id,)
        )
