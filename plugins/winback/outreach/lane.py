"""One connection's part of sending a campaign: claims, checks, requests, and what comes of them.

How many there are, and when all of them end, is decided in `dispatch.py`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import psycopg

from winback.errors import (
    CampaignError,
    DispatchRefused,
    RateLimited,
    TransportStopped,
    WinbackError,
)
from winback.outreach import (
    campaign_state,
    delivery_trouble,
    last_check,
    ledger,
    scheduled_batches,
)
from winback.outreach.campaign_mail import Mails, Request, alike, body_of, next_slot
from winback.outreach.kept_connection import KeptConnection
from winback.outreach.message import Recipient, Sender, Shape
from winback.outreach.permission import require_allowed
from winback.outreach.rate_limit import RateLimit
from winback.outreach.scheduled_batches import Slot
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport, mend
from winback.record.events import work_through_inbox
from winback.select.campaigns import Campaign
from winback.settings import Settings

log = logging.getLogger(__name__)

# when so many are rejected and nobody accepted, the mail is at fault and not its recipients
MOST_REJECTED = 10


class _Paused(Exception):
    """Somebody paused or stopped the campaign while it was sending."""


@dataclass
class CampaignRun:
    """What all connections share that send a campaign.

    Attributes:
        campaign: Its file.
        snapshot_id: The snapshot that the run acts on.
        as_of: Its date.
        config: Settings.
        sender: Who writes.
        mails: What is sent, by shape.
        end: Set when no other request is to begin.
        all_done: Of each connection, how many messages took which way.
        passed: How far they have come in the plan.
        limit: Until when the mail API takes nothing.
    """

    campaign: Campaign
    snapshot_id: int
    as_of: date
    config: Settings
    sender: Sender
    mails: Mails
    end: threading.Event
    all_done: Sequence[Counter[str]]
    passed: ledger.Passed
    limit: RateLimit


@dataclass
class Lane:
    """One connection's part of sending a campaign."""

    run: CampaignRun
    kept: KeptConnection
    transport: SendGridTransport
    done: Counter[str]
    halved: Slot | None = None

    def send_all(self) -> None:
        """Claims and sends batches until nothing is planned, or something asks to stop."""
        name, worker = self.run.campaign.name, f"{socket.gethostname()}:{os.getpid()}"
        # before the claim: while they wait, nobody holds any
        while self.run.limit.wait(self.run.end):
            with self.kept.transaction() as connection:
                if not campaign_state.is_running(connection, name):
                    log.warning("campaign %s is not running: nothing is sent", name)
                    return
                claims = ledger.claim(connection, name, worker, self.run.config, self.run.passed)
            try:
                if not claims:
                    return
                self._send(claims)
            except _Paused:
                log.warning("campaign %s was held: nothing more is sent", name)
                return
            except RateLimited as limited:
                self.run.limit.note(limited.retry_after)
            except scheduled_batches.NoMoreMayWait:
                log.info("%s: the rest waits for the end of the quiet hours", name)
                return

    def _send(self, claims: list[ledger.Claim]) -> None:
        """Sends a batch in as many requests as it takes; gives back what may not be sent now."""
        waiting = alike(claims)
        self.halved = None
        try:
            while waiting and not self.run.end.is_set() and not self.run.limit.holds():
                request = self._prepare(waiting)
                if request is None:
                    continue
                outcome = self.transport.send(request.body)
                if outcome.kind == "rejected" and len(request.claims) > 1:
                    self.halved = request.slot
                    waiting += self._halve(request.claims)
                    continue
                self._settle(request.claims, outcome)
                if outcome.kind == "rate_limited":
                    self.run.limit.note(outcome.retry_after)
                self._stop_if_needed(outcome)
        finally:
            if waiting:
                # If this fails too, the lease ends and the next run takes them over.
                with suppress(WinbackError, psycopg.Error), self.kept.transaction() as connection:
                    ledger.release(connection, [claim for part in waiting for claim in part])

    def _prepare(self, waiting: list[list[ledger.Claim]]) -> Request | None:
        """Checks the next claims and commits those of one shape as `dispatching`.

        Claims of other shapes stay in `waiting`, each to be checked again before its own request.
        """
        name, config = self.run.campaign.name, self.run.config
        # whoever objected meanwhile, and what bounced
        work_through_inbox(self.kept.transaction)
        with self.kept.transaction() as connection:
            delivery_trouble.stop_if_needed(connection, config, name)
        slot = next_slot(self.kept, self.transport, config, self.halved)
        with self.kept.transaction() as connection:
            require_allowed(connection, self.run.snapshot_id, self.run.as_of, config)
            if not campaign_state.is_running(connection, name):
                raise _Paused
            # whoever objects from here on waits for this commit, and finds `dispatching`
            checked = last_check.check(
                connection, waiting[-1], name, self.run.snapshot_id, self.run.as_of, config
            )
            shape: Shape | None = None
            asked: dict[UUID, Recipient] = {}
            ready: list[ledger.Claim] = []
            rest: dict[Shape, list[ledger.Claim]] = defaultdict(list)
            refused: dict[str, list[ledger.Claim]] = defaultdict(list)
            for each in checked:
                if each.recipient is None:
                    refused[", ".join(each.reasons)].append(each.claim)
                elif each.recipient.shape == (shape := shape or each.recipient.shape):
                    asked[each.claim.message_id] = each.recipient
                    ready.append(each.claim)
                else:
                    rest[each.recipient.shape].append(each.claim)
            claims = ledger.mark_dispatching(connection, ready, config)
            for reason, refused_claims in refused.items():
                ledger.cancel(connection, refused_claims, reason)
            request = None
            if shape is not None and claims:
                # built before the commit: what can not be put together was not on its way
                recipients = [asked[claim.message_id] for claim in claims]
                body = body_of(
                    self.run.mails[shape], recipients, self.run.sender, name, config, slot
                )
                if slot is not None:
                    scheduled_batches.schedule(connection, claims, slot, name, self.run.as_of)
                request = Request(claims, body, slot)
        waiting.pop()
        self.done["cancelled"] += sum(map(len, refused.values()))
        waiting += rest.values()
        return request

    def _halve(self, claims: list[ledger.Claim]) -> list[list[ledger.Claim]]:
        with self.kept.transaction() as connection:
            claims = ledger.claim_again(connection, claims, self.run.config)
        middle = len(claims) // 2
        return [part for part in (claims[:middle], claims[middle:]) if part]

    def _settle(self, claims: list[ledger.Claim], outcome: Outcome) -> None:
        self.done[outcome.kind] += len(claims)
        with self.kept.transaction() as connection:
            if outcome.kind == "accepted":
                ledger.accepted(connection, claims, outcome.detail)
            elif outcome.kind == "rejected":
                ledger.rejected(connection, claims, outcome.detail)
            elif outcome.kind == "unknown":
                ledger.unknown(connection, claims, outcome.detail)
            else:
                ledger.back_to_planned(connection, claims, outcome.detail)
        if outcome.kind == "refused":
            # not in the same transaction: who decides about a campaign locks it before its messages
            with self.kept.transaction() as connection:
                campaign_state.stop(connection, {self.run.campaign.name: outcome.detail})

    def _stop_if_needed(self, outcome: Outcome) -> None:
        name = self.run.campaign.name
        if outcome.kind == "refused":
            raise TransportStopped(
                f"the mail API refuses to send ({outcome.detail}): campaign {name} is stopped;"
                f" {mend(outcome.detail)}, then {campaign_state.RESUME} {name}"
            )
        if outcome.kind == "not_sent":
            raise DispatchRefused(f"{outcome.detail}: the messages stay planned for the next run")
        if outcome.kind == "unknown":
            raise DispatchRefused(
                f"{self.done['unknown']} messages are unknown ({outcome.detail}) and are not sent"
                " again; the others stay planned for the next run"
            )
        n_rejected = sum(done["rejected"] for done in self.run.all_done)
        if n_rejected >= MOST_REJECTED and not any(done["accepted"] for done in self.run.all_done):
            with self.kept.transaction() as connection:
                campaign_state.stop(connection, {name: outcome.detail})
            raise CampaignError(
                f"the mail API rejected {n_rejected} messages ({outcome.detail}) and"
                f" took none: campaign {name} is stopped; mend the campaign's template, then"
                f" {campaign_state.RESUME} {name}"
            )
