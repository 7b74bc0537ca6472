"""The step outreach: sends what is planned, at most once per key, and settles every row.

The order of commits is the guarantee: claim; check and `dispatching` in one transaction; request;
outcome. No transaction spans a request. How a request looks is the transport's affair, how states
change the ledger's.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import psycopg

from winback.errors import CampaignError, DispatchRefused, TransportStopped, WinbackError
from winback.outreach import (
    campaign_state,
    delivery_trouble,
    ended_workers,
    last_check,
    ledger,
    ramp_up,
    scheduled_batches,
)
from winback.outreach.campaign_mail import Mails, Request, alike, body_of, compose_all, next_slot
from winback.outreach.kept_connection import KeptConnection
from winback.outreach.message import Recipient, Sender, Shape
from winback.outreach.permission import require_allowed
from winback.outreach.scheduled_batches import Slot
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport, mend
from winback.record.events import work_through_inbox
from winback.select.campaigns import Campaign, read_campaigns
from winback.settings import Settings, settings

log = logging.getLogger(__name__)

# all the waiting for rate limits in one run; longer waits are left to the next
LONGEST_WAIT_SECONDS = 90.0
# when so many are rejected and nobody accepted, the mail is at fault and not its recipients
MOST_REJECTED = 10


def outreach(snapshot_id: int, as_of: date) -> dict[str, Counter[str]]:
    """Sends the planned messages of every running campaign.

    Args:
        snapshot_id: The snapshot that this run acts on.
        as_of: Its date.

    Returns:
        Per campaign, how many messages took which way.

    Raises:
        DispatchRefused: Nothing (more) may be sent: the snapshot failed a gate or is not the
            newest, the date is too old, or the mail API does not answer as it should.
        CampaignError: A campaign or a template is wrong; nothing was sent for it.
        TransportStopped: The mail provider refuses the account; the campaign is stopped.
    """
    config = settings()
    with ExitStack() as open_connections:
        lanes = [KeptConnection("sender") for _ in range(config.send_connections)]
        for kept in lanes:
            open_connections.callback(kept.close)
        with lanes[0].transaction() as connection:
            require_allowed(connection, snapshot_id, as_of, config)
            ended_workers.release_dead_claims(connection)
            ended_workers.settle_dead_dispatches(connection)
            ledger.cancel_rest_of_cancelled_campaigns(connection)
        done = {
            campaign.name: _send_campaign(campaign, snapshot_id, as_of, config, lanes)
            for campaign in read_campaigns(config.campaigns)
        }
        with lanes[0].transaction() as connection:
            for each in ramp_up.read_held_back(connection, config).values():
                log.info("%s: %s wait for later days", each.campaign_id, each.n_for_later)
    return done


def _send_campaign(
    campaign: Campaign,
    snapshot_id: int,
    as_of: date,
    config: Settings,
    lanes: Sequence[KeptConnection],
) -> Counter[str]:
    """Sends in several lanes at once, each with claims of its own: while one waits for the mail
    API, another asks the database. When one fails, the others end after the request under way."""
    sender = Sender(config.sender_name, config.sender_email, config.sender_postal_address)
    transports = [
        SendGridTransport(config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds)
        for _ in lanes
    ]
    # all of them now: a broken template must show before anything is claimed
    mails = compose_all(campaign, sender, config, transports[0])
    end = threading.Event()
    counts: list[Counter[str]] = [Counter() for _ in lanes]
    passed = ledger.Passed()
    runs = [
        _Run(campaign, snapshot_id, as_of, config, sender, mails, end, counts, passed, *each)
        for each in zip(lanes, transports, counts, strict=True)
    ]
    # a batch makes so many values that Python looks for garbage: not among what stands by now
    gc.freeze()
    with ThreadPoolExecutor(len(runs), "outreach") as threads:
        try:
            sending = [threads.submit(run.send_all) for run in runs]
            # not for ever: whichever thread a signal reaches, its handler runs in this one
            while wait(sending, timeout=0.2, return_when=FIRST_EXCEPTION).not_done:
                if any(lane.done() and lane.exception() for lane in sending):
                    break
        finally:
            end.set()
            gc.unfreeze()
    done: Counter[str] = sum(counts, Counter())
    log.info("%s: %s", campaign.name, dict(done))
    failures = [failure for lane in sending if (failure := lane.exception())]
    for failure in failures[1:]:
        log.error("another connection failed as well: %s", failure)
    if failures:
        raise failures[0]
    return done


class _Paused(Exception):
    """Somebody paused or stopped the campaign while it was sending."""


@dataclass
class _Run:
    """One connection's part of sending a campaign; `all_done` and `passed` are of all."""

    campaign: Campaign
    snapshot_id: int
    as_of: date
    config: Settings
    sender: Sender
    mails: Mails
    end: threading.Event
    all_done: Sequence[Counter[str]]
    passed: ledger.Passed
    kept: KeptConnection
    transport: SendGridTransport
    done: Counter[str]
    n_waited: float = 0.0
    halved: Slot | None = None

    def send_all(self) -> None:
        """Claims and sends batches until nothing is planned, or something asks to stop."""
        name, worker = self.campaign.name, f"{socket.gethostname()}:{os.getpid()}"
        while not self.end.is_set():
            with self.kept.transaction() as connection:
                if not campaign_state.is_running(connection, name):
                    log.warning("campaign %s is not running: nothing is sent", name)
                    return
                claims = ledger.claim(connection, name, worker, self.config, self.passed)
            try:
                if not claims or not self._send(claims):
                    return
            except _Paused:
                log.warning("campaign %s was held: nothing more is sent", name)
                return
            except scheduled_batches.NoMoreMayWait:
                log.info("%s: the rest waits for the end of the quiet hours", name)
                return

    def _send(self, claims: list[ledger.Claim]) -> bool:
        """Sends a batch in as many requests as it takes; returns whether to go on."""
        waiting = alike(claims)
        self.halved = None
        try:
            while waiting and not self.end.is_set():
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
                    return self._wait(outcome.retry_after)
                self._stop_if_needed(outcome)
            return True
        finally:
            if waiting:
                # If this fails too, the lease ends and the next run takes them over.
                with suppress(WinbackError, psycopg.Error), self.kept.transaction() as connection:
                    ledger.release(connection, [claim for part in waiting for claim in part])

    def _prepare(self, waiting: list[list[ledger.Claim]]) -> Request | None:
        """Checks the next claims and commits those of one shape as `dispatching`.

        Claims of other shapes stay in `waiting`, each to be checked again before its own request.
        """
        name, config = self.campaign.name, self.config
        # whoever objected meanwhile, and what bounced
        work_through_inbox(self.kept.transaction)
        with self.kept.transaction() as connection:
            delivery_trouble.stop_if_needed(connection, config, name)
        slot = next_slot(self.kept, self.transport, config, self.halved)
        with self.kept.transaction() as connection:
            require_allowed(connection, self.snapshot_id, self.as_of, config)
            if not campaign_state.is_running(connection, name):
                raise _Paused
            # whoever objects from here on waits for this commit, and finds `dispatching`
            checked = last_check.check(
                connection, waiting[-1], name, self.snapshot_id, self.as_of, config
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
                body = body_of(self.mails[shape], recipients, self.sender, name, config, slot)
                if slot is not None:
                    scheduled_batches.schedule(connection, claims, slot, name, self.as_of)
                request = Request(claims, body, slot)
        waiting.pop()
        self.done["cancelled"] += sum(map(len, refused.values()))
        waiting += rest.values()
        return request

    def _halve(self, claims: list[ledger.Claim]) -> list[list[ledger.Claim]]:
        with self.kept.transaction() as connection:
            claims = ledger.claim_again(connection, claims, self.config)
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
                campaign_state.stop(connection, self.campaign.name, outcome.detail)

    def _stop_if_needed(self, outcome: Outcome) -> None:
        name = self.campaign.name
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
        n_rejected = sum(done["rejected"] for done in self.all_done)
        if n_rejected >= MOST_REJECTED and not any(done["accepted"] for done in self.all_done):
            with self.kept.transaction() as connection:
                campaign_state.stop(connection, name, outcome.detail)
            raise CampaignError(
                f"the mail API rejected {n_rejected} messages ({outcome.detail}) and"
                f" took none: campaign {name} is stopped; mend the campaign's template, then"
                f" {campaign_state.RESUME} {name}"
            )

    def _wait(self, seconds: float) -> bool:
        self.n_waited += seconds
        if self.n_waited > LONGEST_WAIT_SECONDS:
            log.warning("the mail API asks to wait for %.0f s: the next run goes on", seconds)
            return False
        return not self.end.wait(seconds)
