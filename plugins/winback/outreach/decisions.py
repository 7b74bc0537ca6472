"""What people decide about outreach, kept for ever: who, when, what and why.

Only the record. What a decision brings about is `campaign_state.py` and `unknown_messages.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import psycopg

from winback.errors import WinbackError

Word = Literal["pause", "resume", "cancel", "resend", "abandon"]


class NotDecided(WinbackError):
    """A decision that can not be carried out; nothing was changed."""


@dataclass(frozen=True)
class Decision:
    """What somebody orders.

    Attributes:
        word: What is to happen.
        reason: Why, in the person's words.
        decided_by: Who.
    """

    word: Word
    reason: str
    decided_by: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise NotDecided(f'the reason is empty: say with --reason "…" why you {self.word}')


def keep(
    connection: psycopg.Connection,
    decision: Decision,
    campaign: str,
    message_id: UUID | None = None,
    resent_as: UUID | None = None,
) -> None:
    """Records a decision; the caller commits it together with what it brings about.

    Args:
        connection: As the sender.
        decision: What was decided.
        campaign: Which campaign it is about.
        message_id: Which message, when it is about one.
        resent_as: The new message of a resend.
    """
    connection.execute(
        "insert into ops.outreach_decision"
        " (campaign_id, decision, message_id, resent_as, reason, decided_by)"
        " values (%s, %s, %s, %s, %s, %s)",
        (
            campaign,
            decision.word,
            message_id,
            resent_as,
            decision.reason.strip(),
            decision.decided_by,
        ),
    )
