"""The step outreach: sends what is planned, at most once per key, and settles every row.

The order of commits is the guarantee: claim; check and `dispatching` in one transaction; request;
outcome. No transaction spans a request. How a request looks is the transport's affair, how states
change the ledger's.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg

from winback.errors import CampaignError, DispatchRefused, TransportStopped, WinbackError
from winback.outreach import campaign_state, last_check, ledger
from winback.outreach.kept_connection import KeptConnection
from winback.outreach.message import SHAPES, Mail, Sender, Shape, compose
from winback.outreach.permission import require_allowed
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport, request_body
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
    require_allowed(snapshot_id, as_of, config)
    kept = KeptConnection("sender")
    with kept.transaction() as connection:
        n_dead = ledger.settle_dead_dispatches(connection)
        ledger.cancel_rest_of_cancelled_campaigns(connection)
    if n_dead:
        log.warning("%s messages of an ended worker are unknown now", n_dead)
    transport = SendGridTransport(
        config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds
    )
    done = {}
    try:
        for campaign in read_campaigns(config.campaigns):
            run = _Run(campaign, snapshot_id, as_of, config, transport, kept)
            try:
                run.send_all()
            finally:
                log.info("%s: %s", campaign.name, dict(run.done))
            done[campaign.name] = run.done
    finally:
        kept.close()
    return done


class _Paused(Exception):
    """Somebody paused or stopped the campaign while it was sending."""


@dataclass(frozen=True)
class _Request:
    """A request whose messages are committed as `dispatching`."""

    claims: list[ledger.Claim]
    body: dict[str, Any]


@dataclass
class _Run:
    """The sending of one campaign by one worker."""

    campaign: Campaign
    snapshot_id: int
    as_of: date
    config: Settings
    transport: SendGridTransport
    kept: KeptConnection
    done: Counter[str] = field(default_factory=Counter)
    n_waited: float = 0.0

    def send_all(self) -> None:
        """Claims and sends batches until nothing is planned, or something asks to stop."""
        config = self.config
        self.sender = Sender(config.sender_name, config.sender_email, config.sender_postal_address)
        # all of them now: a broken template must show before anything is claimed
        folder = config.campaigns / "templates"
        self.mails: dict[Shape, Mail] = {
            shape: compose(folder, self.campaign.template, shape, self.sender) for shape in SHAPES
        }
        worker = f"{socket.gethostname()}:{os.getpid()}"
        while True:
            with self.kept.transaction() as connection:
                if not campaign_state.is_running(connection, self.campaign.name):
                    log.warning("campaign %s is not running: nothing is sent", self.campaign.name)
                    return
                claims = ledger.claim(connection, self.campaign.name, worker, config)
            try:
                if not claims or not self._send(claims):
                    return
            except _Paused:
                log.warning("campaign %s was paused: nothing more is sent", self.campaign.name)
                return

    def _send(self, claims: list[ledger.Claim]) -> bool:
        """Sends a batch in as many requests as it takes; returns whether to go on."""
        waiting = [claims]
        try:
            while waiting:
                request = self._prepare(waiting)
                if request is None:
                    continue
                outcome = self.transport.send(request.body)
                if outcome.kind == "rejected" and len(request.claims) > 1:
                    waiting += self._halve(request.claims)
                    continue
                self._settle(request.claims, outcome)
                if outcome.kind == "rate_limited":
                    return self._wait(outcome.retry_after)
                self._stop_if_needed(outcome)
            return True
        finally:
            # If this fails too, the lease ends and the next run takes them over.
            with suppress(WinbackError, psycopg.Error):
                self._release([claim for part in waiting for claim in part])

    def _prepare(self, waiting: list[list[ledger.Claim]]) -> _Request | None:
        """Checks the next claims and commits those of one shape as `dispatching`.

        Claims of another shape, which need a request of their own, stay in `waiting`.
        """
        require_allowed(self.snapshot_id, self.as_of, self.config)
        name, config = self.campaign.name, self.config
        with self.kept.transaction() as connection:
            if not campaign_state.is_running(connection, name):
                raise _Paused
            # whoever objects from here on waits for this commit, and finds `dispatching`
            held = ledger.hold(connection, waiting[-1])
            checked = last_check.check(connection, held, name, self.as_of, config)
            fit = {each.claim: each.recipient for each in checked if each.recipient is not None}
            shape = next((recipient.shape for recipient in fit.values()), None)
            asked = {c for c, recipient in fit.items() if recipient.shape == shape}
            claims = ledger.mark_dispatching(connection, list(asked), config)
            refused: dict[str, list[ledger.Claim]] = defaultdict(list)
            for each in checked:
                if each.recipient is None:
                    refused[", ".join(each.reasons)].append(each.claim)
            for reason, refused_claims in refused.items():
                ledger.cancel(connection, refused_claims, reason)
            now_decided = [c for c in checked if c.recipient is None or c.claim in asked]
            last_check.keep_verdicts(connection, now_decided, name, self.snapshot_id)
            request = None
            if shape is not None and claims:
                # built before the commit: what can not be put together was not on its way
                body = request_body(self.mails[shape], [fit[c] for c in claims], self.sender, name)
                request = _Request(claims, body)
        waiting.pop()
        self.done["cancelled"] += len(checked) - len(fit)
        if rest := [claim for claim in fit if claim not in asked]:
            waiting.append(rest)
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
                    campaign_state.stop(connection, self.campaign.name, outcome.detail)

    def _stop_if_needed(self, outcome: Outcome) -> None:
        name = self.campaign.name
        if outcome.kind == "refused":
            raise TransportStopped(
                f"the mail API refuses to send ({outcome.detail}): campaign {name} is stopped;"
                f" {_mend(outcome.detail)}, then {campaign_state.RESUME} {name}"
            )
        if outcome.kind == "not_sent":
            raise DispatchRefused(f"{outcome.detail}: the messages stay planned for the next run")
        if outcome.kind == "unknown":
            # one batch is the most that may become unknown at once
            raise DispatchRefused(
                f"{self.done['unknown']} messages are unknown ({outcome.detail}) and are not sent"
                " again; the others stay planned for the next run"
            )
        if self.done["rejected"] >= MOST_REJECTED and not self.done["accepted"]:
            with self.kept.transaction() as connection:
                campaign_state.stop(connection, name, outcome.detail)
            raise CampaignError(
                f"the mail API rejected {self.done['rejected']} messages ({outcome.detail}) and"
                f" took none: campaign {name} is stopped; mend the campaign's template, then"
                f" {campaign_state.RESUME} {name}"
            )

    def _wait(self, seconds: float) -> bool:
        self.n_waited += seconds
        if self.n_waited > LONGEST_WAIT_SECONDS:
            log.warning("the mail API asks to wait for %.0f s: the next run goes on", seconds)
            return False
        time.sleep(seconds)
        return True

    def _release(self, claims: list[ledger.Claim]) -> None:
        if claims:
            with self.kept.transaction() as connection:
                ledger.release(connection, claims)


def _mend(detail: str) -> str:
    if detail.startswith("HTTP 401") or detail.startswith("HTTP 403"):
        return (
            "set WINBACK_SENDGRID_API_KEY to a key that may send mail, and let the provider verify"
            " sender_email"
        )
    if detail.startswith("HTTP 400") or detail.startswith("HTTP 413"):
        return "mend what it names in the campaign's template or in the sender settings"
    return "check sendgrid_url and the account"
