"""Whether anything may be sent at all: the snapshot, its gates and age, the server that keeps the
ledger, and where mail would go.

Asked when a run starts and again before each request. Whether one person may be written to is
`last_check.py`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import psycopg

from winback.errors import DispatchRefused
from winback.gate import require_fit_to_act
from winback.outreach.web_address import is_https, is_loopback, is_web_address
from winback.privacy.recipients import require_mail_provider
from winback.settings import Settings


def require_allowed(
    connection: psycopg.Connection, snapshot_id: int, as_of: date, config: Settings
) -> None:
    """Refuses to send from a wrong snapshot, to a wrong place, or really from an old date or beside
    a ledger that a crash can take back.

    Args:
        connection: As the sender.
        snapshot_id: The snapshot to act on.
        as_of: Its date.
        config: Settings.

    Raises:
        DispatchRefused: With the reason and the mend.
    """
    require_fit_to_act(connection, snapshot_id, as_of)
    if config.mail_transport != "sandbox":
        # the same clock for every worker, and the one that leases go by
        [(now, fsync)] = connection.execute(
            "select clock_timestamp(), current_setting('fsync')"
        ).fetchall()
        _require_fresh(as_of, config, now)
        if fsync == "off":
            raise DispatchRefused(
                "the warehouse's PostgreSQL runs with fsync = off, so a crash would forget what was"
                " sent: set fsync = on in postgresql.conf and reload it"
            )
    require_provider(config)


def require_provider(config: Settings) -> None:
    """Refuses to send by a way that is not set up, not safe, or without a contract on record.

    Raises:
        DispatchRefused: With the reason and the mend.
    """
    if not config.sendgrid_api_key:
        raise DispatchRefused("there is no key for the mail API: set WINBACK_SENDGRID_API_KEY")
    if not is_web_address(config.public_url):
        raise DispatchRefused(
            "public_url is no web address, so messages would have no stop link:"
            " set it to an address such as https://shop.example"
        )
    if config.mail_transport == "sandbox":
        if not is_loopback(config.sendgrid_url):
            raise DispatchRefused(
                "mail_transport is `sandbox`, but sendgrid_url is not on this machine:"
                " set mail_transport to `sendgrid` to write to real people"
            )
        return
    if not (is_https(config.sendgrid_url) or is_loopback(config.sendgrid_url)):
        raise DispatchRefused(
            "sendgrid_url is not https: names and addresses would travel in the clear;"
            " set it to https://api.sendgrid.com or its EU address"
        )
    # a stop link that leads to the sender's own machine stops nothing; RFC 8058 asks for https
    if not is_https(config.public_url) or is_loopback(config.public_url):
        raise DispatchRefused(
            "public_url must be an https address that recipients can reach, since every message's"
            " unsubscribe link points there: set it before writing to real people"
        )
    require_mail_provider(config)


def _require_fresh(as_of: date, config: Settings, now: datetime) -> None:
    age = now - config.as_of_at(as_of)
    if not timedelta(0) <= age <= timedelta(hours=config.send_validity_hours):
        raise DispatchRefused(
            f"as_of {as_of} lies outside the {config.send_validity_hours} hours for which a"
            " selection is valid: nothing is sent; run winback_ingest for today"
        )
