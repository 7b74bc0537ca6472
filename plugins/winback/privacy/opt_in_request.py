"""Asking a customer to confirm a consent (double opt-in): once, by a mail without advertising.

Not a campaign, so it is no row of the send ledger: `ops.opt_in_request` is its proof, with the same
order of commits. `dispatching` is committed before the request leaves, and a request whose fate
nobody knows is not sent again before the pause is over; events settle it
(`record/opt_in_events.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from winback.errors import DispatchRefused
from winback.gate import require_fit_to_act
from winback.outreach.message import DEFAULT_LANGUAGE, Recipient, Sender
from winback.outreach.permission import require_provider
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport, request_body
from winback.privacy.keyed_hash import customer_key
from winback.privacy.opt_in_mail import ConsentText, compose_request, consent_text
from winback.record import opt_in, unsubscribe
from winback.select.campaigns import LANGUAGES
from winback.settings import Settings, settings
from winback.warehouse import connection as warehouse

PURPOSES = ("marketing", "survey")
CATEGORY = "opt_in"
# reasons of no law, for which nobody is asked again
AGREED, ASKED = "agreed_already", "asked_already"
# that there is no consent, or none any more for want of use, is why one is asked for
_WHY_WE_ASK = {
    "consent_missing",
    "consent_unconfirmed",
    "consent_unused_too_long",
    "consent_for_another_address",
    "consent_for_another_advertiser",
}

# A survey is advertising: who took the consent to marketing back is not asked for this one either.
_PERSON = """
select c.email_hash, p.email, c.locale, verdict.evidence,
    verdict.reasons || case when 'consent_withdrawn' = any(marketing.reasons)
        then array['consent_withdrawn'] else '{}' end
from raw.customers as c
inner join pii.customers as p using (customer_key)
cross join lateral ops.eligibility(
    array[c.customer_key], array['infinity'::timestamptz], '', 'email', %(today)s, now(),
    %(months)s, 0, %(purpose)s, %(advertisers)s::text[]
) as verdict
cross join lateral ops.eligibility(
    array[c.customer_key], array['infinity'::timestamptz], '', 'email', %(today)s, now(),
    %(months)s, 0, advertisers => %(advertisers)s::text[]
) as marketing
where c.customer_key = %(customer)s and c.deleted_at is null
"""

_KEEP_VERDICT = """
insert into ops.verdict
    (snapshot_id, campaign_id, customer_key, channel, step, is_eligible, reasons, evidence)
select snapshot_id, '', %(customer)s, 'email', 'opt_in', %(against)s = '{}'::text[], %(against)s,
    %(evidence)s || jsonb_build_object('purpose', %(purpose)s::text)
from ops.newest_snapshot
"""

# One at a time, so that two people who press at once send one mail, whichever of a person's numbers
# and whichever customer of a mailbox they press for. The person first: nobody waits in a circle.
_LOCK = """
select pg_advisory_xact_lock(hashtextextended(coalesce(p.person_key, c.customer_key), 2)),
    pg_advisory_xact_lock(hashtextextended(c.email_hash, 2))
from raw.customers as c left join ops.person as p using (customer_key)
where c.customer_key = %(customer)s
"""

# of a mailbox, and of a person; a mail that came back was read by nobody
_EARLIER = """
select r.text_version, r.requested_at, has_agreed from ops.opt_in_request as r
cross join lateral (
    select r.address_hash = %(address)s as is_address, r.customer_key = any(coalesce(
        (select p.members from ops.person as p where p.customer_key = %(customer)s),
        array[%(customer)s::text]
    )) as is_person
) as same
cross join lateral (
    select is_address and is_person and r.confirmed_at is not null as has_agreed
) as answer
where r.purpose = %(purpose)s and r.state <> 'rejected'
    and (
        has_agreed and r.confirmed_at > now() - make_interval(months => %(months)s)
        or (is_address or is_person and r.state not in ('bounced', 'dropped'))
            and r.requested_at > now() - make_interval(days => %(pause)s)
    )
order by has_agreed desc, r.requested_at desc limit 1
"""


@dataclass(frozen=True)
class Asked:
    """A request that has left, or may have."""

    request_id: UUID
    text_version: str
    expires_on: date
    state: str


@dataclass(frozen=True)
class _Request:
    request_id: UUID
    text: ConsentText
    email: str
    requested_at: datetime
    expires_at: datetime


def ask(customer_id: str, purpose: str, source: str, requested_by: str) -> Asked:
    """Asks a customer by mail to confirm a consent for e-mail.

    Args:
        customer_id: The customer's id at the source.
        purpose: One of `PURPOSES`.
        source: Where the customer said that they want it, such as `checkout`; kept as proof.
        requested_by: Who asks, for the record.

    Returns:
        The request; its state is `accepted`, or `unknown` when nobody knows whether it left.

    Raises:
        DispatchRefused: The customer may not be asked, was asked already, or nothing may be sent,
            for one because the newest batch did not pass its gates.
        CampaignError: The templates are wrong.
        SettingsError: The key for the mail API is none.
    """
    config = settings()
    require_provider(config)
    if purpose not in PURPOSES:
        raise DispatchRefused(f"{purpose!r} is no purpose: write one of {', '.join(PURPOSES)}")
    if not source.strip():
        raise DispatchRefused("say where the customer asked for it, such as --source checkout")
    sender = Sender(config.sender_name, config.sender_email, config.sender_postal_address)
    key = customer_key(config.dataset, customer_id)
    # before anything is on record: a key that is none can not be sent with, and asks nobody
    transport = SendGridTransport(
        config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds
    )
    with warehouse.connect("sender") as connection:
        _require_fit(connection)
        request = _keep(connection, key, purpose, source, requested_by, sender, config)
        body = _body(request, sender, config)
    # from here on it may have left, whatever happens
    return _settle(request, transport.send(body), config)


def _require_fit(connection: psycopg.Connection) -> None:
    # what a refused batch says of objections and addresses is not to be believed
    newest = connection.execute("select snapshot_id, as_of from ops.newest_snapshot").fetchone()
    if newest is None:
        raise DispatchRefused("nothing was loaded yet: run winback_ingest first")
    require_fit_to_act(connection, *newest)


def _keep(
    connection: psycopg.Connection,
    key: str,
    purpose: str,
    source: str,
    requested_by: str,
    sender: Sender,
    config: Settings,
) -> _Request:
    values: dict[str, Any] = {
        "customer": key,
        "purpose": purpose,
        "today": config.today(),
        "months": config.consent_unused_months,
        "pause": config.opt_in_pause_days,
        "advertisers": config.advertiser_names(),
    }
    connection.execute(_LOCK, values)
    row = connection.execute(_PERSON, values).fetchone()
    if row is None:
        raise DispatchRefused(
            "there is no such customer: write the id as your source has it, and load it first"
        )
    address_hash, email, locale, evidence, reasons = row
    against = sorted(set(reasons) - _WHY_WE_ASK) or ([] if email else ["no_address"])
    refusal = f"this customer may not be asked: {', '.join(against)}"
    if not against and evidence.get("ground") == "consent":
        against, refusal = [AGREED], "this customer has agreed already: there is nothing to ask for"
    elif not against:
        earlier = connection.execute(_EARLIER, values | {"address": address_hash}).fetchone()
        if earlier is not None:
            version, at, is_confirmed = earlier
            against, refusal = _already(version, at, is_confirmed, config)
    connection.execute(_KEEP_VERDICT, values | {"against": against, "evidence": Jsonb(evidence)})
    if against:
        # the refusal would take the verdict with it
        connection.commit()
        raise DispatchRefused(refusal)
    language = (locale or "")[:2].lower()
    text = consent_text(
        config.campaigns / "templates",
        purpose,
        language if language in LANGUAGES else DEFAULT_LANGUAGE,
        sender,
        config.consent_unused_months,
    )
    connection.execute(
        "insert into ops.consent_text"
        " (text_version, channel, purpose, language, advertiser, content)"
        " values (%s, 'email', %s, %s, %s, %s) on conflict do nothing",
        (text.version, purpose, text.language, sender.name, text.content),
    )
    [(request_id, requested_at, expires_at)] = connection.execute(
        "insert into ops.opt_in_request (customer_key, address_hash, channel, purpose,"
        " text_version, source, requested_by, expires_at)"
        " values (%s, %s, 'email', %s, %s, %s, %s, now() + make_interval(days => %s))"
        " returning request_id, requested_at, expires_at",
        (key, address_hash, purpose, text.version, source, requested_by, config.opt_in_valid_days),
    ).fetchall()
    return _Request(request_id, text, email, requested_at, expires_at)


def _body(request: _Request, sender: Sender, config: Settings) -> dict[str, Any]:
    web = f"{config.public_url.rstrip('/')}/winback"
    zone = ZoneInfo(config.business_timezone)
    requested_on = request.requested_at.astimezone(zone).date()
    stop_url = f"{web}/unsubscribe/{unsubscribe.token(request.request_id)}"
    mail = compose_request(
        config.campaigns / "templates",
        request.text,
        sender,
        confirm_url=f"{web}/opt-in/{opt_in.token(request.request_id)}",
        stop_url=stop_url,
        requested_on=requested_on,
        expires_on=request.expires_at.astimezone(zone).date(),
    )
    # the dates belong to campaigns; no tag of this mail asks for them
    recipient = Recipient(
        request.request_id, request.email, None, None, requested_on, requested_on, stop_url
    )
    return request_body(mail, [recipient], sender, CATEGORY)


def _settle(request: _Request, outcome: Outcome, config: Settings) -> Asked:
    state = outcome.kind if outcome.kind in ("accepted", "unknown") else "rejected"
    with warehouse.connect("sender") as connection:
        connection.execute(
            # an event may have been quicker, and knows more
            "update ops.opt_in_request set provider_message_id = %s,"
            " state = case when state = 'dispatching' then %s else state end,"
            " reason = case when state = 'dispatching' then %s else reason end,"
            " settled_at = coalesce(settled_at, now()) where request_id = %s",
            (
                outcome.detail if state == "accepted" else None,
                state,
                None if state == "accepted" else outcome.detail,
                request.request_id,
            ),
        )
    if state == "rejected":
        raise DispatchRefused(f"the request was not sent ({outcome.detail}): mend it and ask again")
    expires_on = request.expires_at.astimezone(ZoneInfo(config.business_timezone)).date()
    return Asked(request.request_id, request.text.version, expires_on, state)


def _already(
    version: str, at: datetime, is_confirmed: bool, config: Settings
) -> tuple[list[str], str]:
    """The reason not to ask again, for the verdict, and in words."""
    if is_confirmed:
        said = f"this customer has agreed already ({version}): there is nothing to ask for"
        return [AGREED], said
    day = at.astimezone(ZoneInfo(config.business_timezone)).date()
    again = day + timedelta(days=config.opt_in_pause_days)
    said = f"this customer or address was asked on {day} ({version}): ask after {again}"
    return [ASKED], said
