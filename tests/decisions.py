"""What the tests of people's decisions share: deciding, and what is on record of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mail_flow import CAMPAIGN, MailFlow
from winback.outreach import campaign_state
from winback.outreach.decisions import Decision
from winback.warehouse import connection as warehouse

Call = Callable[..., tuple[int, str, str]]


def decide(word: Any, reason: str = "because") -> int:
    with warehouse.connect("sender") as connection:
        return campaign_state.decide(connection, CAMPAIGN, Decision(word, reason, "ann"))


def decisions(flow: MailFlow) -> list[tuple[Any, ...]]:
    return flow.warehouse.execute(
        "select decision, campaign_id, message_id, resent_as, reason, decided_by,"
        " decided_at > now() - interval '1 minute' from ops.outreach_decision order by decision_id"
    )
