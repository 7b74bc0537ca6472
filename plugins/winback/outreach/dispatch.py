"""The step outreach: sends what is planned, at most once per key, and settles every row.

The order of commits is the guarantee: claim; check and `dispatching` in one transaction; request;
outcome. No transaction spans a request. One connection's part of it is `lane.py`; how a request
looks is the transport's affair, how states change the ledger's.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import date

from winback.errors import CampaignError, CampaignsNotSent, RateLimited
from winback.outreach import campaign_state, ended_workers, ledger, ramp_up
from winback.outreach.campaign_mail import compose_all
from winback.outreach.kept_connection import KeptConnection
from winback.outreach.lane import CampaignRun, Lane
from winback.outreach.message import Sender
from winback.outreach.permission import require_allowed
from winback.outreach.rate_limit import RateLimit
from winback.outreach.sendgrid_transport import SendGridTransport
from winback.select.campaigns import Campaign, read_campaigns
from winback.settings import Settings, settings

log = logging.getLogger(__name__)


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
        CampaignError: A campaign file is wrong, and nothing was sent.
        CampaignsNotSent: Campaigns have wrong templates, or all of their messages were rejected,
            and nothing more was sent for them; the others were sent before it is raised.
        TransportStopped: The mail provider refuses the account; the campaign is stopped.
    """
    config = settings()
    with ExitStack() as open_connections:
        connections = [KeptConnection("sender") for _ in range(config.send_connections)]
        for kept in connections:
            open_connections.callback(kept.close)
        with connections[0].transaction() as connection:
            require_allowed(connection, snapshot_id, as_of, config)
            ended_workers.settle_dead_dispatches(connection)
        with connections[0].transaction() as connection:
            ledger.cancel_rest_of_cancelled_campaigns(connection)
            # last: while it holds the portions of the ramp-up it must not wait for messages
            ended_workers.release_dead_claims(connection)
        limit = RateLimit()
        done: dict[str, Counter[str]] = {}
        wrong: list[str] = []
        for campaign in read_campaigns(config.campaigns):
            try:
                done[campaign.name] = _send_within_limit(
                    campaign, snapshot_id, as_of, config, connections, limit
                )
            except CampaignError as error:
                log.error("%s: %s", campaign.name, error)
                wrong.append(f"{campaign.name}: {error}")
        with connections[0].transaction() as connection:
            for each in ramp_up.read_held_back(connection, config).values():
                log.info("%s: %s wait for later days", each.campaign_id, each.n_for_later)
    if wrong:
        raise CampaignsNotSent("; ".join(wrong), done)
    return done


def _send_within_limit(
    campaign: Campaign,
    snapshot_id: int,
    as_of: date,
    config: Settings,
    connections: Sequence[KeptConnection],
    limit: RateLimit,
) -> Counter[str]:
    """Begins once the mail API's limit allows it: it is asked for templates, too."""
    while limit.wait(threading.Event()):
        try:
            return _send_campaign(campaign, snapshot_id, as_of, config, connections, limit)
        except RateLimited as limited:
            limit.note(limited.retry_after)
    return Counter()


def _send_campaign(
    campaign: Campaign,
    snapshot_id: int,
    as_of: date,
    config: Settings,
    connections: Sequence[KeptConnection],
    limit: RateLimit,
) -> Counter[str]:
    """Sends in several lanes at once, each with claims of its own: while one waits for the mail
    API, another asks the database. When one fails, the others end after the request under way."""
    with connections[0].transaction() as connection:
        if not campaign_state.is_running(connection, campaign.name):
            log.warning("campaign %s is not running: nothing is sent", campaign.name)
            return Counter()
    sender = Sender(config.sender_name, config.sender_email, config.sender_postal_address)
    transports = [
        SendGridTransport(config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds)
        for _ in connections
    ]
    # all of them now: a broken template must show before anything is claimed
    mails = compose_all(campaign, sender, config, transports[0])
    counts: list[Counter[str]] = [Counter() for _ in connections]
    run = CampaignRun(
        campaign, snapshot_id, as_of, config, sender, mails, threading.Event(), counts,
        ledger.Passed(), limit,
    )  # fmt: skip
    lanes = [Lane(run, *each) for each in zip(connections, transports, counts, strict=True)]
    # a batch makes so many values that Python looks for garbage: not among what stands by now
    gc.freeze()
    with ThreadPoolExecutor(len(lanes), "outreach") as threads:
        try:
            sending = [threads.submit(lane.send_all) for lane in lanes]
            # not for ever: whichever thread a signal reaches, its handler runs in this one
            while wait(sending, timeout=0.2, return_when=FIRST_EXCEPTION).not_done:
                if any(each.done() and each.exception() for each in sending):
                    break
        finally:
            run.end.set()
            gc.unfreeze()
    done: Counter[str] = Counter()
    for each_done in counts:
        done.update(each_done)
    log.info("%s: %s", campaign.name, dict(done))
    failures = [failure for each in sending if (failure := each.exception())]
    # what ends the run comes before what ends this campaign alone
    failures.sort(key=lambda failure: isinstance(failure, CampaignError))
    for failure in failures[1:]:
        log.error("another connection failed as well: %s", failure)
    if failures:
        raise failures[0]
    return done
