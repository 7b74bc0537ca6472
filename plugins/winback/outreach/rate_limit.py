"""Until when the mail API takes nothing: a limit that one connection meets holds for all of a run.

What an answer says about it is read by the transport.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

# all the waiting for rate limits in one run; longer waits are left to the next
LONGEST_WAIT_SECONDS = 90.0


@dataclass
class RateLimit:
    """The limit that a run has met last, if any.

    Attributes:
        not_before: When it ends, by the monotonic clock.
        n_waited: All the seconds that the run was asked to wait; what overlaps counts once.
    """

    not_before: float = 0.0
    n_waited: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, seconds: float) -> None:
        """The mail API takes nothing for so long from now on."""
        with self._lock:
            now = time.monotonic()
            if now + seconds <= self.not_before:
                return
            self.n_waited += now + seconds - max(now, self.not_before)
            self.not_before = now + seconds
        if self._is_too_long():
            log.warning("the mail API asks to wait for %.0f s: the next run goes on", seconds)

    def holds(self) -> bool:
        """Whether no request may begin now."""
        return self._is_too_long() or time.monotonic() < self.not_before

    def wait(self, end: threading.Event) -> bool:
        """Waits until it is over; returns whether to go on.

        Args:
            end: Ends the waiting, and says not to.
        """
        while self.holds() and not end.is_set():
            if self._is_too_long():
                return False
            end.wait(self.not_before - time.monotonic())
        return not end.is_set()

    def _is_too_long(self) -> bool:
        return self.n_waited > LONGEST_WAIT_SECONDS
