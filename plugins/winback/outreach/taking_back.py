"""Taking back what waits at the provider: of a campaign that was held, and of who must not get it.

The order of commits is the guarantee: that it is asked for; the question to the provider; its
confirmation together with the messages it frees. Who finds a question without an answer asks it
again, for the provider does the same thing once. Without a confirmation everything stays accepted;
what becomes of it when the answer was lost is `lost_answers.py`. No transaction spans a request.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import psycopg

from winback.outreach import (
    delivery_trouble,
    lost_answers,
    scheduled_batches,
    second_check,
    sendgrid_schedule,
)
from winback.outreach.kept_connection import KeptConnection
from winback.outreach.scheduled_batches import Batch
from winback.outreach.sendgrid_schedule import CANCELLABLE_UNTIL
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.settings import Settings, settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TakenBack:
    """What came of it.

    Attributes:
        moved: How many messages became `planned` and `cancelled`.
        left: How many could not be taken back, by why.
    """

    moved: Counter[str] = field(default_factory=Counter)
    left: dict[str, int] = field(default_factory=dict)


def take_back_campaign(campaign: str) -> TakenBack:
    """Takes back all that waits of a campaign that was paused or cancelled.

    Its messages are planned again, or cancelled with it.

    Args:
        campaign: A campaign that does not run.
    """
    kept = KeptConnection("sender")
    try:
        with kept.transaction() as connection:
            scheduled_batches.ask_for_campaigns_that_rest(connection)
        moved = _cancel_asked(kept, settings(), campaign)
        with kept.transaction() as connection:
            left = scheduled_batches.count_left(connection, campaign, CANCELLABLE_UNTIL)
    finally:
        kept.close()
    return TakenBack(moved, left)


def look_again() -> Counter[str]:
    """Asks once more about everybody whose message waits, and takes back what must not be sent.

    A batch goes or stays as a whole: the others in it are planned anew. Also asks again about what
    was asked for before and not confirmed, and makes unknown what may have been cancelled unheard.

    Returns:
        How many messages became `planned` and `cancelled`.
    """
    config = settings()
    kept = KeptConnection("sender")
    try:
        with kept.transaction() as connection:
            scheduled_batches.ask_for_campaigns_that_rest(connection)
        # on its own: while everybody is judged, nobody who holds a campaign has to wait
        with kept.transaction() as connection:
            waiting = scheduled_batches.read_open(connection, CANCELLABLE_UNTIL)
            found = second_check.check(connection, waiting, config)
            scheduled_batches.ask(connection, list(found))
        moved = _cancel_asked(kept, config)
        lost_answers.settle(
            kept,
            _transport(config),
            CANCELLABLE_UNTIL,
            timedelta(seconds=config.send_timeout_seconds),
        )
        return moved
    finally:
        kept.close()


def _cancel_asked(
    kept: KeptConnection, config: Settings, campaign: str | None = None
) -> Counter[str]:
    """Asks the provider, and moves what it confirms; of one campaign alone, if one is named."""
    moved: Counter[str] = Counter()
    with kept.transaction() as connection:
        late = scheduled_batches.read_confirmed(connection, CANCELLABLE_UNTIL, campaign)
        asked = scheduled_batches.read_asked(connection, CANCELLABLE_UNTIL, campaign)
    for batch in late:
        with kept.transaction() as connection:
            moved += _free(connection, batch, config)
    if not asked:
        return moved
    transport = _transport(config)
    for batch in asked:
        with kept.transaction() as connection:
            question = lost_answers.note_question(connection, batch, CANCELLABLE_UNTIL)
        if question is None:
            continue
        answer = sendgrid_schedule.cancel(transport, batch.batch_id)
        with kept.transaction() as connection:
            if answer.is_refused:
                lost_answers.note_refusal(connection, question)
            if answer.problem is not None:
                log.warning("batch %s could not be taken back: %s", batch.batch_id, answer.problem)
                scheduled_batches.note_problem(connection, batch, answer.problem)
            elif scheduled_batches.confirm(connection, batch, CANCELLABLE_UNTIL):
                moved += _free(connection, batch, config)
                continue
            if not answer.is_refused:
                lost_answers.note_no_answer(connection, question)
    return moved


def _transport(config: Settings) -> SendGridTransport:
    return SendGridTransport(
        config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds
    )


def _free(connection: psycopg.Connection, batch: Batch, config: Settings) -> Counter[str]:
    """Moves the messages of a confirmed batch, in one transaction with what else it changes."""
    [(state,)] = connection.execute(
        "select state from ops.campaign where campaign_id = %s", (batch.campaign_id,)
    ).fetchall()
    ids = scheduled_batches.lock_waiting(connection, batch)
    found = second_check.check(connection, [batch], config).get(batch.batch_id, {})
    reasons: dict[UUID, str | None] = dict.fromkeys(ids, "campaign_cancelled")
    if state != "cancelled":
        refused = {each: found[each] for each in ids if each in found}
        second_check.keep(connection, refused)
        reasons = {each: refused[each].reasons if each in refused else None for each in ids}
    delivery_trouble.uncount(connection, ids)
    scheduled_batches.take_back(connection, batch, reasons)
    return Counter("planned" if reason is None else "cancelled" for reason in reasons.values())
