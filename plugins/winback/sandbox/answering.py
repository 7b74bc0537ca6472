"""The background worker that answers accepted messages with signed events and one-click posts.

What happens to a message is decided in `simulation`. The worker marks a recipient as answered
only after posting, so a sandbox that was killed in between posts those events once more, with
the same event ids: receivers of the real provider must bear duplicates as well.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import threading
import time
from typing import Any

from winback.outreach.web_address import is_loopback
from winback.sandbox import loopback
from winback.sandbox.journal import Answer, Journal, Unanswered
from winback.sandbox.schedule import discard_overdue
from winback.sandbox.signing import Signer
from winback.sandbox.simulation import Rates, fate

MAX_EVENTS_PER_POST = 1000
DUPLICATE_EVERY = 50
_RECIPIENTS_PER_ROUND = 400
_GIVE_UP_SECONDS = 24 * 3600
_ONE_CLICK_ATTEMPTS = 4
_IDLE_SECONDS = 0.5
_ONE_CLICK_URL = re.compile(r"<\s*(https?://[^>\s]+)\s*>", re.IGNORECASE)

_log = logging.getLogger(__name__)


class Answering(threading.Thread):
    """Posts the events of whatever the journal holds unanswered until it is stopped."""

    def __init__(
        self,
        journal: Journal,
        signer: Signer,
        webhook_url: str,
        rates: Rates,
        event_delay_seconds: float,
    ) -> None:
        # A daemon: a webhook that hangs must not keep the process from ending at once.
        super().__init__(name="sandbox-answering", daemon=True)
        self._journal = journal
        self._signer = signer
        self._webhook_url = webhook_url
        self._rates = rates
        self._event_delay_seconds = event_delay_seconds
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._posts = itertools.count()

    def wake(self) -> None:
        """Tells the worker that recipients were accepted."""
        self._work.set()

    def stop(self) -> None:
        """Ends the worker; waits shortly for a post under way."""
        self._stopping.set()
        self._work.set()
        self.join(timeout=2)

    def run(self) -> None:
        """Works until stopped; a round that fails is logged and tried again."""
        with loopback.client() as http:
            while not self._stopping.is_set():
                self._work.clear()
                try:
                    is_idle = not self._round(http)
                except Exception:
                    _log.exception("a round of simulated events failed; it is tried again")
                    is_idle = True
                if is_idle:
                    self._work.wait(_IDLE_SECONDS)

    def _round(self, http: Any) -> bool:
        now = self._journal.now()
        discard_overdue(self._journal)
        recipients = self._journal.unanswered(
            _RECIPIENTS_PER_ROUND, received_before=now - self._event_delay_seconds
        )
        if not recipients:
            return False
        fates = [fate(recipient, self._rates, int(now)) for recipient in recipients]
        events = [event for each in fates for event in each.events]
        taken: list[bool] = []
        for start in range(0, len(events), MAX_EVENTS_PER_POST):
            batch = events[start : start + MAX_EVENTS_PER_POST]
            is_taken = self._post_events(http, batch)
            taken += [is_taken] * len(batch)
        outcome = iter(taken)
        answers = []
        for recipient, each in zip(recipients, fates, strict=True):
            told = [(event["event"], event, next(outcome)) for event in each.events]
            state = each.state
            if each.is_unsubscribing:
                clicked = self._one_click(http, recipient)
                if clicked is not None:
                    told.append(("one_click", *clicked))
                    state = "unsubscribed"
            answers.append(Answer(recipient.id, state, told))
        if self._stopping.is_set():
            # Part of the round may have been cut short; the next start does it again.
            return False
        self._journal.record_answers(answers)
        return True

    def _post_events(self, http: Any, events: list[dict[str, Any]]) -> bool:
        body = json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode()
        is_taken = self._post(http, body)
        # The first batch of a run is among the repeated ones, so that small runs meet one too.
        if is_taken and next(self._posts) % DUPLICATE_EVERY == 0:
            self._post(http, body)
        return is_taken

    def _post(self, http: Any, body: bytes) -> bool:
        """Posts until the webhook takes it: the provider, too, repeats for up to 24 hours."""
        give_up_at = time.monotonic() + _GIVE_UP_SECONDS
        attempt = 0
        while True:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "SendGrid Event API",
                # Signed anew each time: the receiver may refuse an old time stamp.
                **self._signer.headers(int(time.time()), body),
            }
            status = loopback.post(http, self._webhook_url, body, headers)
            if status is not None and 200 <= status < 300:
                return True
            if attempt == 0:
                said = "does not answer" if status is None else f"answers {status}"
                _log.warning("the webhook %s; its events are posted again until it does", said)
            if time.monotonic() > give_up_at:
                _log.warning("the webhook took no events for a day; they are given up")
                return False
            if loopback.pause(attempt, self._stopping):
                return False
            attempt += 1

    def _one_click(self, http: Any, recipient: Unanswered) -> tuple[dict[str, Any], bool] | None:
        """Unsubscribes like a mailbox provider (RFC 8058); None if the message offers no way."""
        headers = {name.lower(): value for name, value in recipient.headers.items()}
        urls = [
            url
            for url in _ONE_CLICK_URL.findall(headers.get("list-unsubscribe", ""))
            if is_loopback(url)
        ]
        offer = headers.get("list-unsubscribe-post", "").replace(" ", "").lower()
        if not urls or offer != "list-unsubscribe=one-click":
            return None
        status = None
        for attempt in range(_ONE_CLICK_ATTEMPTS):
            status = loopback.post(
                http,
                urls[0],
                b"List-Unsubscribe=One-Click",
                {"Content-Type": "application/x-www-form-urlencoded"},
            )
            if status is not None and status < 500:
                break
            if loopback.pause(attempt, self._stopping):
                break
        is_taken = status is not None and status < 300
        return {"event": "one_click", "url": urls[0], "status": status}, is_taken
