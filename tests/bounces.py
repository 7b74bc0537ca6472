"""Batches whose addresses turn out to be dead, for tests of stopping."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.mail_flow import CAMPAIGN, MailFlow, send
from winback.outreach import campaign_state
from winback.outreach.decisions import Decision
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.record.events import record
from winback.warehouse import connection as warehouse


def send_one_batch(flow: MailFlow, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Sends until the first messages are accepted, and gives those of them that nobody told of."""
    real = SendGridTransport.send

    def send_and_pause(self: SendGridTransport, body: Any) -> Any:
        outcome = real(self, body)
        flow.warehouse.execute("update ops.campaign set state = 'paused'")
        return outcome

    with monkeypatch.context() as context:
        context.setattr(SendGridTransport, "send", send_and_pause)
        while len(accepted(flow)) < 4:
            flow.warehouse.execute("update ops.campaign set state = 'running'")
            send(flow)
    flow.warehouse.execute("update ops.campaign set state = 'running'")
    return accepted(flow)


def accepted(flow: MailFlow) -> list[UUID]:
    rows = flow.warehouse.execute(
        "select message_id from ops.outreach where state = 'accepted' order by message_id"
    )
    return [message_id for (message_id,) in rows]


def tell(flow: MailFlow, *events: dict[str, Any]) -> None:
    flow.sandbox.wait_for_events()
    flow.warehouse.execute("truncate pii.webhook_inbox")
    assert flow.post(events) == 204
    record()


def campaign(flow: MailFlow) -> tuple[str, str | None]:
    [found] = flow.warehouse.execute("select state, state_reason from ops.campaign")
    return found


def resume() -> None:
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision("resume", "list mended", "ann"))
