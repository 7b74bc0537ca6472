"""The step outreach: sends what is planned, at most once per key, and settles every row.

The order of commits is the guarantee: claim, check, `dispatching`, request, outcome. No transaction
spans a request. How a request looks is the transport's affair, how states change the ledger's.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from winback.errors import DispatchRefused, TransportStopped
from winback.gate import has_passed
from winback.outreach import ledger
from winback.outreach.message import Mail, Recipient, Sender, compose
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport
from winback.select.campaigns import Campaign, read_campaigns
from winback.settings import Settings, settings
from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

# longer waits are left to the next run
LONGEST_WAIT_SECONDS = 90.0


def outreach(snapshot_id: int, as_of: date) -> dict[str, Counter[str]]:
    """Sends the planned messages of every running campaign.

    Args:
        snapshot_id: The snapshot that this run acts on.
        as_of: Its date.

    Returns:
        Per campaign, how many messages took which way.

    Raises:
        DispatchRefused: Nothing may be sent: the snapshot failed a gate, or the date is too old.
        TransportStopped: The mail provider refuses the account; the campaign is stopped.
    """
    config = settings()
    require_allowed(snapshot_id, as_of, config, datetime.now(UTC))
    with warehouse.connect("sender") as connection:
        n_dead = ledger.settle_dead_dispatches(connection)
    if n_dead:
        log.warning("%s messages of an ended worker are unknown now", n_dead)
    transport = SendGridTransport(
        config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds
    )
    done = {}
    for campaign in read_campaigns(config.campaigns):
        done[campaign.name] = _send_campaign(campaign, snapshot_id, as_of, transport, config)
        log.info("%s: %s", campaign.name, dict(done[campaign.name]))
    return done


def require_allowed(snapshot_id: int, as_of: date, config: Settings, now: datetime) -> None:
    """Refuses to send from a snapshot without passed gates, and really from an old date.

    Raises:
        DispatchRefused: With the reason and the mend.
    """
    if not has_passed(snapshot_id):
        raise DispatchRefused(
            f"snapshot {snapshot_id} has not passed the gates raw and marts: nothing is sent;"
            " see ops.gate_result, mend the data and run winback_ingest again"
        )
    if not config.sendgrid_api_key:
        raise DispatchRefused("there is no key for the mail API: set WINBACK_SENDGRID_API_KEY")
    if config.mail_transport == "sandbox":
        if "//127.0.0.1:" not in config.sendgrid_url:
            raise DispatchRefused(
                "mail_transport is `sandbox`, but sendgrid_url is not on this machine:"
                " set mail_transport to `sendgrid` to write to real people"
            )
        return
    age = now - config.as_of_at(as_of)
    if not timedelta(0) <= age <= timedelta(hours=config.send_validity_hours):
        raise DispatchRefused(
            f"as_of {as_of} lies outside the {config.send_validity_hours} hours for which a"
            " selection is valid: nothing is sent; run winback_ingest for today"
        )


def _send_campaign(
    campaign: Campaign,
    snapshot_id: int,
    as_of: date,
    transport: SendGridTransport,
    config: Settings,
) -> Counter[str]:
    sender = Sender(config.sender_name, config.sender_email, config.sender_postal_address)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    mails: dict[tuple[str, bool], Mail] = {}
    done: Counter[str] = Counter()
    while _is_running(campaign.name):
        with warehouse.connect("sender") as connection:
            claims = ledger.claim(connection, campaign.name, worker, config)
        if not claims:
            return done
        with warehouse.connect("sender") as connection:
            recipients, refused = ledger.check(
                connection, claims, campaign.name, snapshot_id, as_of, config
            )
            ledger.cancel(connection, refused)
        done["cancelled"] += len(refused)
        by_shape: dict[tuple[str, bool], dict[ledger.Claim, Recipient]] = defaultdict(dict)
        for claim, recipient in recipients.items():
            by_shape[recipient.shape][claim] = recipient
        for shape, group in by_shape.items():
            if shape not in mails:
                mails[shape] = compose(
                    config.campaigns / "templates", campaign.template, shape, sender
                )
            wait = _send_group(group, mails[shape], sender, campaign.name, transport, config, done)
            if wait > LONGEST_WAIT_SECONDS:
                log.warning("the mail API asks to wait for %.0f s: the next run goes on", wait)
                return done
            time.sleep(wait)
    log.warning("campaign %s is not running: nothing more is sent", campaign.name)
    return done


def _send_group(
    group: dict[ledger.Claim, Recipient],
    mail: Mail,
    sender: Sender,
    campaign: str,
    transport: SendGridTransport,
    config: Settings,
    done: Counter[str],
) -> float:
    """Sends one request, halving it while the provider rejects it; returns seconds to wait."""
    with warehouse.connect("sender") as connection:
        claims = ledger.mark_dispatching(connection, list(group), config)
    if not claims:
        return 0.0
    pending = [claims]
    while pending:
        part = pending.pop()
        outcome = transport.send(mail, [group[claim] for claim in part], sender, campaign)
        if outcome.kind == "rejected" and len(part) > 1:
            middle = len(part) // 2
            pending += [part[:middle], part[middle:]]
            continue
        if outcome.kind in ("not_sent", "rate_limited", "account_refused"):
            # the halves that were not sent yet share the fate of this one
            part = [*part, *(claim for rest in pending for claim in rest)]
            pending = []
        _settle(part, outcome, campaign)
        done[outcome.kind] += len(part)
        if outcome.kind == "account_refused":
            raise TransportStopped(
                f"{outcome.detail}: campaign {campaign} is stopped; set WINBACK_SENDGRID_API_KEY"
                " to a key that may send mail, then set the campaign to running"
            )
        if outcome.kind == "not_sent":
            raise DispatchRefused(f"{outcome.detail}: the messages stay planned for the next run")
        if outcome.kind == "rate_limited":
            return outcome.retry_after
    return 0.0


def _settle(claims: Sequence[ledger.Claim], outcome: Outcome, campaign: str) -> None:
    with warehouse.connect("sender") as connection:
        if outcome.kind == "accepted":
            ledger.accepted(connection, claims, outcome.detail)
        elif outcome.kind == "rejected":
            ledger.rejected(connection, claims, outcome.detail)
        elif outcome.kind == "unknown":
            ledger.unknown(connection, claims, outcome.detail)
        else:
            ledger.back_to_planned(connection, claims, outcome.detail)
            if outcome.kind == "account_refused":
                ledger.stop_campaign(connection, campaign, outcome.detail)


def _is_running(campaign: str) -> bool:
    with warehouse.connect("sender") as connection:
        row = connection.execute(
            "select state from ops.campaign where campaign_id = %s", (campaign,)
        ).fetchone()
    return row is not None and row[0] == "running"
