"""A night for tests of sending: it is quiet, and what leaves waits at the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.mail_flow import CAMPAIGN, MailFlow
from winback.outreach import campaign_state
from winback.outreach.decisions import Decision, Word
from winback.outreach.taking_back import TakenBack, take_back_campaign
from winback.warehouse import connection as warehouse


def quiet_now() -> str:
    """The setting by which it has been quiet for an hour, and is for two more at least."""
    hour = datetime.now(UTC).hour
    return f"{(hour - 1) % 24:02}:00-{(hour + 3) % 24:02}:00"


# by sandbox: how far its clock is ahead
_ahead: dict[str, float] = {}


def set_clock(flow: MailFlow, ahead_seconds: float) -> None:
    answer = httpx.post(
        f"{flow.sandbox.url}/sandbox/clock", json={"ahead_seconds": ahead_seconds}, trust_env=False
    )
    answer.raise_for_status()
    _ahead[flow.sandbox.url] = ahead_seconds


def ask_sandbox(flow: MailFlow, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {flow.sandbox.api_key}"}
    return httpx.request(
        method, f"{flow.sandbox.url}/v3/{path}", headers=headers, trust_env=False, **more
    )


def decide(word: Word) -> TakenBack:
    with warehouse.connect("sender") as connection:
        campaign_state.decide(connection, CAMPAIGN, Decision(word, "for the test", "ann"))
    return take_back_campaign(CAMPAIGN)


def batches(flow: MailFlow) -> list[tuple[Any, ...]]:
    return flow.warehouse.execute(
        "select batch_id, send_at, cancel_asked_at is not null, cancelled_at is not null, problem"
        " from ops.scheduled_batch order by created_at, batch_id"
    )


def let_time_pass_until(flow: MailFlow, before: timedelta) -> None:
    """For us and for the provider: the batches are due after `before`."""
    [(send_at,)] = flow.warehouse.execute("select max(send_at) from ops.scheduled_batch")
    ahead = send_at - datetime.now(UTC) - before
    flow.warehouse.execute("update ops.outreach set send_at = send_at - %s", (ahead,))
    flow.warehouse.execute(
        "update ops.scheduled_batch set send_at = send_at - %(ahead)s,"
        " cancelled_at = cancelled_at - %(ahead)s, cancel_asked_at = cancel_asked_at - %(ahead)s,"
        " question_left_at = question_left_at - %(ahead)s",
        {"ahead": ahead},
    )
    set_clock(flow, _ahead[flow.sandbox.url] + ahead.total_seconds())


def told(flow: MailFlow) -> set[str]:
    """The batches of this test that the provider was told to cancel."""
    known = ask_sandbox(flow, "GET", "user/scheduled_sends").json()
    ours = {batch_id for batch_id, *_ in batches(flow)}
    return {each["batch_id"] for each in known if each["status"] == "cancel"} & ours


def buy(flow: MailFlow, customer_key: str) -> None:
    flow.warehouse.execute(
        "insert into raw.orders (order_id, customer_key, ordered_at, amount_cents, currency,"
        " snapshot_id) values ('test-1', %s, now() - interval '1 minute', 100, 'EUR', 1)",
        (customer_key,),
    )


def lose_answers(flow: MailFlow, n: int) -> None:
    """The next so many questions about batches are heard, and their answers do not arrive."""
    flow.sandbox.fault("error_500_after_accept", request="scheduled_sends", requests=n)
