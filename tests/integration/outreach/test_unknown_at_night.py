"""What nobody knows the fate of while it may wait at the provider."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.mail_flow import MailFlow, configure, event, n_planned, send
from tests.night import batches, decide, let_time_pass_until, lose_answers, set_clock, told
from winback.errors import DispatchRefused
from winback.outreach import sendgrid_schedule, unknown_messages
from winback.outreach.decisions import Decision, NotDecided
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.outreach.taking_back import look_again
from winback.record.events import record
from winback.record.unsubscribe import unsubscribe
from winback.warehouse import connection as warehouse


def unknown_one(flow: MailFlow, monkeypatch: pytest.MonkeyPatch, mode: str) -> UUID:
    """Sends one message, whose answer is lost."""
    configure(flow, monkeypatch, send_batch_size=1)
    flow.sandbox.fault(mode)
    with pytest.raises(DispatchRefused, match="are unknown"):
        send(flow)
    configure(flow, monkeypatch, send_batch_size=1000)
    return UUID(str(flow.message("state = 'unknown'")[0]))


def order(word: Any, message_id: UUID) -> Any:
    act = unknown_messages.resend if word == "resend" else unknown_messages.abandon
    with warehouse.connect("sender") as connection:
        return act(connection, [message_id], Decision(word, "because", "ann"))


def state(flow: MailFlow, message_id: UUID) -> tuple[str, str | None]:
    [row] = flow.warehouse.execute(
        "select state, reason from ops.outreach where message_id = %s", (message_id,)
    )
    return row


@pytest.mark.parametrize("word", ["abandon", "resend"])
def test_nobody_decides_about_what_may_wait_and_it_is_taken_back_from_who_objects(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    message_id = unknown_one(night, monkeypatch, "error_500_after_accept")
    [(send_at,)] = night.warehouse.execute("select send_at from ops.scheduled_batch")
    with pytest.raises(NotDecided) as refused:
        order(word, message_id)
    said = f"may wait at the provider until {send_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    assert said in str(refused.value)
    assert "take it back now with ./winback outreach pause" in str(refused.value)
    assert unsubscribe(message_id)
    record()
    assert told(night) == {batches(night)[0][0]}
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert state(night, message_id)[0] == "unknown"
    # once its time has come, or nothing of its batch is sent, it is a person's affair
    order("abandon", message_id)
    assert state(night, message_id)[0] == "abandoned"


def test_once_its_batch_is_taken_back_it_is_decided_about(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = unknown_one(night, monkeypatch, "error_500_after_accept")
    decide("pause")
    order("abandon", message_id)
    let_time_pass_until(night, timedelta(0))
    night.sandbox.wait_for_events()
    record()
    assert state(night, message_id)[0] == "abandoned"
    assert night.states()["delivered"] == 0


def test_a_resend_that_waits_is_taken_back_when_the_first_one_turns_up(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = unknown_one(night, monkeypatch, "error_500")
    # the night after
    night.warehouse.execute("update ops.scheduled_batch set send_at = now() - interval '1 hour'")
    new = order("resend", old)[old]
    send(night)
    assert state(night, new) == ("accepted", None)
    assert night.post([event("delivered", old)]) < 300
    record()
    assert state(night, old) == ("delivered", None)
    assert state(night, new) == ("cancelled", "first_one_arrived")
    assert night.warehouse.execute(
        "select reasons, evidence ->> 'earlier_message' from ops.verdict where step = 'waiting'"
    ) == [(["first_one_arrived"], str(old))]


def test_that_a_batch_is_not_listed_says_nothing_once_its_time_has_come(
    night: MailFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = n_planned(night)
    send(night)
    lose_answers(night, 1000)
    assert decide("cancel").moved == {}
    night.sandbox.fault("none")
    ours = {batch_id for batch_id, *_ in batches(night)}
    assert told(night) == ours
    assert len(ours) > 1
    let_time_pass_until(night, timedelta(minutes=4))
    n_asked = 0

    def slow(transport: SendGridTransport, batch_id: str) -> str:
        """The answers take long, and the provider forgets what it has discarded."""
        nonlocal n_asked
        n_asked += 1
        for table in ("outreach", "scheduled_batch"):
            night.warehouse.execute(
                f"update ops.{table} set send_at = send_at - interval '5 minutes'"
            )
        return ""

    monkeypatch.setattr(sendgrid_schedule, "look_up", slow)
    look_again()
    assert n_asked == len(ours)
    # cancelled at the provider: none is sent, and none may stay accepted
    look_again()
    assert night.states() == {"unknown": n}
    set_clock(night, 0)
