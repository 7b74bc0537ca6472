"""What the requests of a campaign are made of: its mails, whoever keeps their text, and the time.

Puts together what `message.py`, `template_mail.py` and the files of SendGrid offer. When a request
is made is decided in `lane.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from winback.outreach.kept_connection import KeptConnection
from winback.outreach.ledger import Claim
from winback.outreach.message import SHAPES, Mail, Recipient, Sender, Shape, compose
from winback.outreach.scheduled_batches import Slot
from winback.outreach.sendgrid_schedule import delivery_options, new_batch_id
from winback.outreach.sendgrid_templates import require_templates, template_request
from winback.outreach.sendgrid_transport import SendGridTransport, request_body
from winback.outreach.template_mail import TemplateMail, compose_template_mail
from winback.select.campaigns import Campaign
from winback.settings import Settings

Mails = Mapping[Shape, Mail | TemplateMail]


@dataclass(frozen=True)
class Request:
    """A request whose messages are committed as `dispatching`."""

    claims: list[Claim]
    body: dict[str, Any]
    slot: Slot | None


def compose_all(
    campaign: Campaign, sender: Sender, config: Settings, transport: SendGridTransport
) -> Mails:
    """The mail of every shape: a broken template must show before anything is claimed.

    Raises:
        CampaignError: A template is wrong, is not there, or lacks what every message must carry.
        DispatchRefused: The provider does not show a template that it keeps.
        RateLimited: It shows none for now.
    """
    if campaign.sendgrid_templates is None:
        return compose_own(campaign, sender, config)
    folder, said = config.campaigns / "templates", _said(campaign)
    ids = campaign.sendgrid_templates.model_dump()
    require_templates(transport, ids)
    return {s: compose_template_mail(folder, ids[s[0]], s, sender, **said) for s in SHAPES}


def compose_own(campaign: Campaign, sender: Sender, config: Settings) -> dict[Shape, Mail]:
    """The same for a campaign whose text is ours, with tags in the place of personal values.

    Raises:
        CampaignError: A template is wrong, or lacks what every message must carry.
    """
    folder, said = config.campaigns / "templates", _said(campaign)
    template = campaign.template_name
    return {s: compose(folder, template, s, sender, **said) for s in SHAPES}


def _said(campaign: Campaign) -> dict[str, bool]:
    return {"has_offer": campaign.has_offer, "is_survey": campaign.purpose == "survey"}


def alike(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Claims by the request they probably go into; what is told apart only by the check before a
    request is checked once more before its own.

    Args:
        claims: In the order of their likely shape.
    """
    return [list(each) for _, each in groupby(claims, attrgetter("likely_shape"))]


def next_slot(
    kept: KeptConnection, transport: SendGridTransport, config: Settings, halved: Slot | None
) -> Slot | None:
    """Until when the next request has to wait; the database's clock says whether it is quiet.

    Args:
        kept: As the sender.
        transport: To the provider.
        config: The quiet hours.
        halved: That of a request of the same claim that was rejected. What is sent of it in parts
            shares its batch: one bad address would use up all that may wait.

    Raises:
        DispatchRefused: It is quiet, and the provider gives no batch id.
        RateLimited: It gives none for now.
    """
    quiet = config.quiet()
    if quiet is None:
        return None
    with kept.transaction() as connection:
        [(now, may_grow)] = connection.execute(
            "select now(), exists (select 1 from ops.scheduled_batch"
            " where batch_id = %s and cancel_asked_at is null)",
            (None if halved is None else halved.batch_id,),
        ).fetchall()
    send_at = quiet.end_of_quiet(now)
    if send_at is None:
        return None
    if halved is not None and may_grow and halved.send_at == send_at:
        return halved
    return Slot(new_batch_id(transport), send_at)


def body_of(
    mail: Mail | TemplateMail,
    recipients: Sequence[Recipient],
    sender: Sender,
    campaign: str,
    config: Settings,
    slot: Slot | None,
) -> dict[str, Any]:
    """The body of one request.

    Args:
        mail: Of the shape of the recipients.
        recipients: All of one shape.
        sender: Who writes.
        campaign: The campaign.
        config: Settings.
        slot: When it is to be sent, if later.
    """
    body = (
        template_request(mail, recipients, sender, campaign)
        if isinstance(mail, TemplateMail)
        else request_body(mail, recipients, sender, campaign)
    )
    return body | delivery_options(config.sendgrid_unsubscribe_group, slot)
