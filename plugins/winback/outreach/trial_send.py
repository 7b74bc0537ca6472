"""A campaign's mails, sent to oneself: by the same way as to customers, but outside the ledger.

Nothing is recorded, no snapshot is needed, and the links in these mails change nothing. The mails
are those of `preview.py`.
"""

from __future__ import annotations

from dataclasses import replace

from email_validator import EmailNotValidError, validate_email

from winback.errors import DispatchRefused
from winback.outreach.campaign_mail import body_of, compose_all
from winback.outreach.message import Mail
from winback.outreach.permission import require_provider
from winback.outreach.preview import find_campaign, made_up, sender_of
from winback.outreach.sendgrid_transport import Outcome, SendGridTransport, mend
from winback.settings import Settings

# of the provider's statistics, apart from those of campaigns
CATEGORY = "test"
SUBJECT = "[Test] "


def send_to_oneself(name: str, to: str, config: Settings) -> int:
    """Sends every mail of a campaign, for a made-up recipient, to one address.

    Args:
        name: The campaign.
        to: One's own address; it is neither kept nor logged.
        config: Settings.

    Returns:
        How many mails the provider took.

    Raises:
        CampaignError: The campaign or a template is wrong; nothing was sent.
        DispatchRefused: No mail may be sent at all, the address is none, or the provider did not
            take a mail; the message says how many left before.
    """
    require_provider(config)
    address = _address(to)
    transport = SendGridTransport(
        config.sendgrid_url, config.sendgrid_api_key, config.send_timeout_seconds
    )
    sender = sender_of(config)
    mails = compose_all(find_campaign(name, config), sender, config, transport)
    for n_sent, (shape, mail) in enumerate(mails.items()):
        # the subject of a template kept at SendGrid is not ours to change
        marked = (
            replace(mail, subject=f"{SUBJECT}{mail.subject}") if isinstance(mail, Mail) else mail
        )
        recipient = made_up(shape, address, config)
        body = body_of(marked, [recipient], sender, CATEGORY, config, slot=None)
        outcome = transport.send(body)
        if outcome.kind != "accepted":
            raise DispatchRefused(f"{_says(outcome)} ({n_sent} of {len(mails)} mails were sent)")
    return len(mails)


def _address(to: str) -> str:
    try:
        address = validate_email(to, check_deliverability=False).ascii_email
    except EmailNotValidError:
        address = None
    if address is None:
        # the library's words quote the address, and errors are logged
        raise DispatchRefused("--to is no e-mail address: write it like you@shop.example") from None
    return address


def _says(outcome: Outcome) -> str:
    if outcome.kind == "refused":
        return f"the mail API refuses to send ({outcome.detail}): {mend(outcome.detail)}"
    if outcome.kind == "rejected":
        return f"the mail API does not take this address ({outcome.detail}): try another one"
    if outcome.kind == "rate_limited":
        return f"the mail API asks to wait: try again in {outcome.retry_after:.0f} s"
    if outcome.kind == "not_sent":
        return f"{outcome.detail}: check sendgrid_url, and whether the service runs"
    return (
        f"there was no clear answer ({outcome.detail}): look into your inbox before you repeat it"
    )
