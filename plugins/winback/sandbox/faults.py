"""The fault switch: which misbehaviour the next requests meet, and for how many of them.

How a fault looks on the wire is decided in `send`; breaking the connection in `serving`.
"""

from __future__ import annotations

import threading
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal[
    "none",
    "refuse_401",
    "rate_limit_429",
    "error_500",
    "error_500_after_accept",
    "hang",
    "hang_after_accept",
    "reset_after_accept",
    "truncate_after_accept",
    "trickle_after_accept",
    "bad_recipient_400",
]
# which request it strikes: a mail, the wish for a batch id, the wish to cancel or pause one (after
# it was heard, also the question which are), or the question for a template; what is no mail is
# answered with a status, or hangs and gets a 500
Kind = Literal["send", "batch", "scheduled_sends", "templates"]
AFTER_ACCEPT = frozenset(
    {
        "error_500_after_accept",
        "hang_after_accept",
        "reset_after_accept",
        "truncate_after_accept",
        "trickle_after_accept",
    }
)


class Fault(BaseModel):
    """One fault as it is switched on.

    Attributes:
        mode: The misbehaviour; `none` is none.
        request: Which kind of request meets it.
        requests: How many more requests meet it.
        seconds: Length of a hang or of an answer that trickles in byte by byte, or the time until
            a rate limit resets; after a hang, and in the midst of what trickles or is truncated,
            the connection is cut.
        address: For `bad_recipient_400`: the address to refuse in whichever request carries it;
            without one the first recipient of the request is refused.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Mode = "none"
    request: Kind = "send"
    requests: int = Field(default=1, ge=0)
    seconds: float = Field(default=60, ge=0)
    address: str | None = None


class FaultSwitch:
    """Holds the fault that is on; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault = Fault(requests=0)

    def set(self, fault: Fault) -> None:
        """Replaces whatever fault is on."""
        with self._lock:
            self._fault = fault.model_copy()

    def current(self) -> Fault:
        """The fault as it stands, with the requests that are left."""
        with self._lock:
            return self._fault.model_copy()

    def take(
        self, *, accepted: bool, addresses: list[str] | None = None, request: Kind = "send"
    ) -> Fault | None:
        """Uses up one request of the fault if it strikes here.

        Args:
            accepted: Whether the recipients are committed by now; a fault strikes either before
                or after that moment, never at both.
            addresses: The request's recipients, which a fault aimed at one address must hold.
            request: Which kind of request it is.
        """
        with self._lock:
            fault = self._fault
            if fault.mode == "none" or fault.requests < 1 or fault.request != request:
                return None
            if (fault.mode in AFTER_ACCEPT) != accepted:
                return None
            if fault.address is not None and fault.address.lower() not in (addresses or []):
                return None
            self._fault = fault.model_copy(update={"requests": fault.requests - 1})
            return fault
