"""Cancellations whose answer was lost: asked for again while that helps, and unknown after it."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from tests.mail_flow import MailFlow, event, n_planned, send
from tests.night import (
    ask_sandbox,
    batches,
    decide,
    let_time_pass_until,
    lose_answers,
    told,
)
from winback.outreach import lost_answers, scheduled_batches, sendgrid_schedule, unknown_messages
from winback.outreach.decisions import Decision
from winback.outreach.taking_back import look_again
from winback.record.events import record
from winback.warehouse import connection as warehouse

MANY = 1000


def hear_nothing(flow: MailFlow) -> None:
    """The provider is silent from here on, and does what it is asked."""
    lose_answers(flow, MANY)


def hear_again(flow: MailFlow) -> None:
    flow.sandbox.fault("none")


def cancel_unheard(flow: MailFlow) -> int:
    """Sends all, and cancels the campaign without hearing an answer; how many messages wait."""
    n = n_planned(flow)
    send(flow)
    hear_nothing(flow)
    assert decide("cancel").moved == {}
    return n


def reasons(flow: MailFlow) -> list[str]:
    rows = flow.warehouse.execute(
        "select distinct reason from ops.outreach where state = 'unknown'"
    )
    return [reason for (reason,) in rows]


def test_what_may_have_been_cancelled_is_unknown_once_nothing_can_be_taken_back(
    night: MailFlow,
) -> None:
    n = cancel_unheard(night)
    # as long as it can be asked again, nothing is given up
    assert look_again() == {}
    assert night.states() == {"accepted": n}
    let_time_pass_until(night, timedelta(minutes=9))
    assert look_again() == {}
    # the list may be heard before the time has come
    assert night.states() == {"accepted": n}
    hear_again(night)
    assert told(night) == {batch_id for batch_id, *_ in batches(night)}
    record()
    assert night.states() == {"unknown": n}
    assert reasons(night) == [
        "it was to be taken back from the provider and no answer came;"
        " the provider lists its batch as cancel, and not since when"
    ]
    # nor is it ever sent again by itself
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert send(night) == {}
    assert night.states() == {"unknown": n}
    assert night.warehouse.execute(
        "select sum(n_accepted), count(newest) from ops.delivery_tally"
        " cross join (select max(accepted_at) as newest from ops.outreach) as o"
    ) == [(0, 0)]


def test_without_any_answer_it_is_unknown_when_its_time_has_come_and_events_settle_it(
    night: MailFlow,
) -> None:
    n = cancel_unheard(night)
    let_time_pass_until(night, timedelta(minutes=-1))
    look_again()
    assert night.states() == {"unknown": n}
    assert reasons(night) == ["it was to be taken back from the provider and no answer came"]
    message_id, _, _ = night.message()
    assert night.post([event("delivered", message_id)]) < 300
    record()
    assert night.states() == {"unknown": n - 1, "delivered": 1}
    assert night.warehouse.execute("select sum(n_accepted) from ops.delivery_tally") == [(1,)]


def test_a_question_that_nobody_heard_changes_nothing(night: MailFlow) -> None:
    n = n_planned(night)
    send(night)
    # cut off before it was heard
    night.sandbox.fault("error_500", request="scheduled_sends", requests=MANY)
    decide("cancel")
    hear_again(night)
    assert told(night) == set()
    let_time_pass_until(night, timedelta(minutes=8))
    look_again()
    assert night.states() == {"accepted": n}
    # now that the provider said so, it is sure
    [(n_open,)] = night.warehouse.execute("select count(question_left_at) from ops.scheduled_batch")
    assert n_open == 0
    assert {problem for *_, problem in batches(night)} == {
        "the provider did not hear of it in time, and sends it"
    }
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert night.states() == {"delivered": n}


@pytest.mark.parametrize("mode", ["refuse_401", "rate_limit_429"])
def test_what_the_provider_refused_is_no_open_question(night: MailFlow, mode: str) -> None:
    n = n_planned(night)
    send(night)
    night.sandbox.fault(mode, request="scheduled_sends", requests=MANY)
    decide("cancel")
    let_time_pass_until(night, timedelta(minutes=-1))
    look_again()
    assert night.states() == {"accepted": n}


def test_a_question_that_may_still_be_on_its_way_is_not_taken_for_unheard(
    night: MailFlow,
) -> None:
    n = n_planned(night)
    send(night)
    night.sandbox.fault("error_500", request="scheduled_sends", requests=MANY)
    decide("cancel")
    hear_again(night)
    let_time_pass_until(night, timedelta(minutes=9))
    night.warehouse.execute("update ops.scheduled_batch set question_left_at = now()")
    look_again()
    assert night.states() == {"accepted": n}
    let_time_pass_until(night, timedelta(minutes=-1))
    look_again()
    assert night.states() == {"unknown": n}
    [reason] = reasons(night)
    assert reason.endswith("the provider does not list its batch any more")


def test_a_worker_that_stood_still_and_hears_too_late_leaves_it_open(night: MailFlow) -> None:
    n = n_planned(night)
    send(night)
    decide_without_asking(night)
    real = sendgrid_schedule.cancel

    def slow(*arguments: object) -> sendgrid_schedule.CancelAnswer:
        # meanwhile another worker found that nobody had heard it
        let_time_pass_until(night, timedelta(minutes=5))
        night.warehouse.execute("update ops.scheduled_batch set question_left_at = null")
        return real(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as standing:
        standing.setattr(sendgrid_schedule, "cancel", slow)
        assert look_again() == {}
    # the first one was asked about in time; the others not at all
    [heard] = told(night)
    states = dict(
        night.warehouse.execute(
            "select batch_id = %s, min(state) from ops.outreach group by 1", (heard,)
        )
    )
    assert states == {True: "unknown", False: "accepted"}
    assert night.states()["accepted"] + night.states()["unknown"] == n


def decide_without_asking(flow: MailFlow) -> None:
    flow.warehouse.execute("update ops.campaign set state = 'paused'")


def test_what_a_late_worker_hands_in_near_the_time_is_unknown(night: MailFlow) -> None:
    n = n_planned(night)
    send(night)
    night.warehouse.execute(
        "update ops.scheduled_batch set cancel_asked_at = now(), cancelled_at = now()"
    )
    let_time_pass_until(night, timedelta(minutes=9))
    look_again()
    assert night.states() == {"unknown": n}
    assert reasons(night) == ["handed in under a batch that was cancelled"]


def test_what_was_processed_at_its_time_is_known(night: MailFlow) -> None:
    n = cancel_unheard(night)
    let_time_pass_until(night, timedelta(minutes=-1))
    message_id, _, _ = night.message()
    assert night.post([event("processed", message_id)]) < 300
    record()
    assert night.states() == {"unknown": n - 1, "accepted": 1}


def test_a_person_decides_a_day_after_its_time(night: MailFlow) -> None:
    n = cancel_unheard(night)
    let_time_pass_until(night, timedelta(minutes=-1))
    look_again()
    night.warehouse.execute("update ops.outreach set dispatching_at = now() - interval '30 hours'")
    with warehouse.connect("sender") as connection:
        found = unknown_messages.read_unknown(connection)
        assert (len(found), sum(each.is_for_a_person for each in found)) == (n, 0)
    night.warehouse.execute("update ops.outreach set send_at = now() - interval '25 hours'")
    with warehouse.connect("sender") as connection:
        found = unknown_messages.read_unknown(connection)
        assert sum(each.is_for_a_person for each in found) == n
        unknown_messages.abandon(
            connection, [found[0].message_id], Decision("abandon", "for the test", "ann")
        )
    assert night.states() == {"unknown": n - 1, "abandoned": 1}


def test_the_database_allows_it_in_this_case_alone(night: MailFlow) -> None:
    send(night)
    move = "update ops.outreach set state = 'unknown' where message_id = %s"
    message_id, _, _ = night.message()

    def is_refused() -> None:
        with pytest.raises(psycopg.errors.CheckViolation, match="from accepted to unknown"):
            night.warehouse.execute(move, (message_id,))

    is_refused()
    with pytest.raises(psycopg.errors.CheckViolation, match="question_was_wanted"):
        night.warehouse.execute("update ops.scheduled_batch set question_left_at = now()")
    night.warehouse.execute(
        "update ops.scheduled_batch set cancel_asked_at = now(), question_left_at = now()"
    )
    # as long as it can be asked again
    is_refused()
    let_time_pass_until(night, timedelta(minutes=9))
    night.warehouse.execute("update ops.scheduled_batch set question_left_at = null")
    # nobody asked
    is_refused()
    night.warehouse.execute("update ops.scheduled_batch set question_left_at = now()")
    night.warehouse.execute(move, (message_id,))


def test_two_questions_do_not_hide_each_other(night: MailFlow) -> None:
    send(night)
    decide_without_asking(night)
    until_before = sendgrid_schedule.CANCELLABLE_UNTIL
    with warehouse.connect("sender") as connection:
        scheduled_batches.ask_for_campaigns_that_rest(connection)
        [batch, *_] = scheduled_batches.read_asked(connection, until_before)
        connection.commit()
        first = lost_answers.note_question(connection, batch, until_before)
        connection.commit()
        second = lost_answers.note_question(connection, batch, until_before)
        assert first is not None and second is not None
        # the first one is refused, and the second one says nothing about it
        lost_answers.note_refusal(connection, first)
        read = "select question_left_at from ops.scheduled_batch where batch_id = %s"
        assert connection.execute(read, (batch.batch_id,)).fetchone() == (second.left_at,)
        lost_answers.note_refusal(connection, second)
        assert connection.execute(read, (batch.batch_id,)).fetchone() == (first.left_at,)


def test_the_sandbox_lists_what_was_cancelled(night: MailFlow) -> None:
    """What the tests above rely on: in the last ten minutes it says yes, lists it, and sends."""
    n = n_planned(night)
    send(night)
    let_time_pass_until(night, timedelta(minutes=9))
    for batch_id, *_ in batches(night):
        wish = {"batch_id": batch_id, "status": "cancel"}
        assert ask_sandbox(night, "POST", "user/scheduled_sends", json=wish).status_code == 201
    assert told(night) == {batch_id for batch_id, *_ in batches(night)}
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert night.states() == {"delivered": n}
