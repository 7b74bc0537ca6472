"""SendGrid's way of sending later: batch ids, and cancelling a batch before its time.

Only its API. When mail has to wait is `quiet_hours.py`; what a confirmed cancellation brings about
is `taking_back.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from winback.errors import DispatchRefused, RateLimited
from winback.outreach.scheduled_batches import MOST_BATCHES, Slot
from winback.outreach.sendgrid_transport import Answer, SendGridTransport

# later than this before its time, the provider promises nothing
CANCELLABLE_UNTIL = timedelta(minutes=10)
# answers after which nothing was done: the key, the permission, the address, the rate
_NOT_DONE = (401, 403, 404, 429)
_MEND = {
    401: "set WINBACK_SENDGRID_API_KEY to a valid key",
    403: "give the key the permissions Mail Send and Scheduled Sends",
}


def new_batch_id(transport: SendGridTransport) -> str:
    """Asks for the id under which a request can be cancelled later.

    Raises:
        DispatchRefused: There is none, so nothing may be scheduled.
        RateLimited: There is none for now.
    """
    answer = transport.ask("post", "mail/batch")
    if answer.status == 429:
        raise RateLimited("the mail API gives no batch id for now", answer.retry_after)
    batch_id = answer.content.get("batch_id") if isinstance(answer.content, dict) else None
    if answer.problem or not isinstance(batch_id, str) or not batch_id.strip():
        problem = answer.problem or "no batch_id in its answer"
        mend = _MEND.get(answer.status or 0, "the next run asks again")
        raise DispatchRefused(
            f"it is quiet now and the mail API gives no batch id ({problem}), without which a"
            f" message could not be taken back: the messages stay planned; {mend}"
        )
    return batch_id


def delivery_options(unsubscribe_group: int, slot: Slot | None) -> dict[str, Any]:
    """What a request says beside the mail: the unsubscribe group, and when it is to be sent.

    Args:
        unsubscribe_group: The provider's number of it; 0 for none.
        slot: The batch and its time; None to send at once.
    """
    options: dict[str, Any] = {}
    if unsubscribe_group:
        options["asm"] = {"group_id": unsubscribe_group}
    if slot is not None:
        options |= {"send_at": int(slot.send_at.timestamp()), "batch_id": slot.batch_id}
    return options


@dataclass(frozen=True)
class CancelAnswer:
    """What the provider said to the wish to cancel a batch.

    Attributes:
        problem: None when it confirmed, now or before; otherwise why it did not.
        is_refused: It is known that the wish was not fulfilled.
    """

    problem: str | None
    is_refused: bool = False


def cancel(transport: SendGridTransport, batch_id: str) -> CancelAnswer:
    """Asks the provider to send nothing of a batch; may be asked any number of times."""
    wish = {"batch_id": batch_id, "status": "cancel"}
    answer = transport.ask("post", "user/scheduled_sends", wish)
    if not answer.problem and _says(answer.content, wish):
        return CancelAnswer(None)
    if answer.status in _NOT_DONE:
        return CancelAnswer(_explained(answer), is_refused=True)
    # it refuses what it did already, and an answer may be lost, perhaps one to an ended worker
    listed = look_up(transport, batch_id)
    if listed == "cancel":
        return CancelAnswer(None)
    problem = _explained(answer) if answer.problem else "the mail API did not confirm it"
    if listed == "pause":
        problem = "somebody paused it at the provider: cancel it there"
    elif answer.status == 400:
        problem = f"HTTP 400: the provider keeps at most {MOST_BATCHES} cancelled batches at a time"
    return CancelAnswer(problem, is_refused=bool(listed) or (listed == "" and answer.status == 400))


def look_up(transport: SendGridTransport, batch_id: str) -> str | None:
    """What the provider lists a batch as.

    Returns:
        `cancel` or `pause`, empty when it lists neither, None when it does not say.
    """
    answer = transport.ask("get", f"user/scheduled_sends/{batch_id}")
    if answer.status == 404:
        return ""
    if answer.problem or not isinstance(answer.content, list | dict):
        return None
    listed = answer.content if isinstance(answer.content, list) else [answer.content]
    for status in ("cancel", "pause"):
        if any(_says(each, {"batch_id": batch_id, "status": status}) for each in listed):
            return status
    return ""


def _says(content: Any, wish: dict[str, str]) -> bool:
    return isinstance(content, dict) and wish.items() <= content.items()


def _explained(answer: Answer) -> str:
    mend = _MEND.get(answer.status or 0)
    return f"{answer.problem}: {mend}" if mend else answer.problem
