"""What a campaign's mails look like: each language and shape, to a recipient who is made up.

Written as files for a browser; the same mails, sent to oneself, are `trial_send.py`. What a mail
says is `message.py`.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from winback.errors import CampaignError
from winback.outreach.campaign_mail import compose_own
from winback.outreach.message import Recipient, Sender, Shape, fill, personal_values
from winback.record.unsubscribe import trial_id
from winback.select.campaigns import Campaign, read_campaign
from winback.settings import Settings

PAGES = Path(__file__).parent / "pages"
FIRST_NAME = "Ada"
_LANGUAGES = {"en": "English", "de": "German"}
_GROUNDS = {"consent": "by consent", "existing_customer": "as an existing customer"}
# days ago, as a lapsed customer would have it
_LAST_PURCHASE_DAYS = 200
_GROUNDED_DAYS = 400


@dataclass(frozen=True)
class Preview:
    """One mail as its made-up recipient would read it.

    Attributes:
        file: Name of its files, without the ending.
        what: Which of the mails it is, in words.
        subject: Filled in.
        text: Filled in.
        html: Filled in.
    """

    file: str
    what: str
    subject: str
    text: str
    html: str


def find_campaign(name: str, config: Settings) -> Campaign:
    """Reads the file of one campaign; those of the others may be wrong.

    Raises:
        CampaignError: There is no such file, or it is wrong.
    """
    paths = {path.stem: path for path in sorted(config.campaigns.glob("*.yaml"))}
    if name not in paths:
        known = f"there are {', '.join(paths)}" if paths else "the folder holds none"
        raise CampaignError(f"there is no campaign {name!r} in {config.campaigns}: {known}")
    return read_campaign(paths[name])


def sender_of(config: Settings) -> Sender:
    """Who writes."""
    return Sender(config.sender_name, config.sender_email, config.sender_postal_address)


def made_up(shape: Shape, address: str, config: Settings) -> Recipient:
    """A recipient of a shape who does not exist; its links lead to pages that change nothing.

    Args:
        shape: Language, whether there is a first name, and ground.
        address: Where a test mail goes.
        config: The address of our pages, and today's date.
    """
    language, has_name, ground = shape
    message_id, today = trial_id(), config.today()
    return Recipient(
        message_id,
        address,
        FIRST_NAME if has_name else None,
        language,
        today - timedelta(days=_LAST_PURCHASE_DAYS),
        today - timedelta(days=_GROUNDED_DAYS),
        f"{config.public_url.rstrip('/')}/winback/unsubscribe/{message_id.hex}",
        ground,
    )


def preview(campaign: Campaign, config: Settings) -> list[Preview]:
    """Fills every mail of a campaign for its made-up recipient.

    Raises:
        CampaignError: A template is wrong, lacks what every message must carry, or is not here.
    """
    if campaign.sendgrid_templates is not None:
        raise CampaignError(
            f"the text of {campaign.name} is kept at SendGrid: look at it there, or send it to"
            f" yourself with ./winback outreach test {campaign.name} --to you@shop.example"
        )
    previews = []
    for shape, mail in compose_own(campaign, sender_of(config), config).items():
        language, has_name, ground = shape
        values = personal_values(made_up(shape, "", config))
        with_name = "with" if has_name else "without"
        previews.append(
            Preview(
                f"{language}-{with_name}-first-name-{ground}".replace("_", "-"),
                f"{_LANGUAGES.get(language, language)}, {with_name} a first name,"
                f" {_GROUNDS[ground]}",
                fill(mail.subject, values),
                fill(mail.text, values),
                fill(mail.html, values),
            )
        )
    return previews


def write_previews(campaign: Campaign, config: Settings) -> Path:
    """Writes a page per mail, its text part, and a page with all of them.

    Args:
        campaign: The campaign.
        config: Settings; the files go to `previews/<campaign>` below the home folder, in the place
            of those of the last time.

    Returns:
        The page to open.

    Raises:
        CampaignError: A template is wrong, or lacks what every message must carry.
    """
    previews = preview(campaign, config)
    folder = config.home / "previews" / campaign.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in (*folder.glob("*.html"), *folder.glob("*.txt")):
        old.unlink()
    for each in previews:
        label = f"Preview of {campaign.name}, {each.what}. The recipient is made up."
        page, text = folder / f"{each.file}.html", folder / f"{each.file}.txt"
        page.write_text(_labelled(each.html, f"{label} Subject: {each.subject}"), encoding="utf-8")
        text.write_text(f"[{label}]\n\nSubject: {each.subject}\n\n{each.text}\n", encoding="utf-8")
    index = folder / "index.html"
    pages = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
    index.write_text(
        pages.get_template("previews.html").render(
            campaign=campaign.name,
            sender=sender_of(config),
            first_name=FIRST_NAME,
            previews=previews,
        ),
        encoding="utf-8",
    )
    return index


def _labelled(page: str, label: str) -> str:
    """The page with a strip on top, within its body where it has one."""
    strip = (
        '<div style="background:#fef3c7;color:#22302e;padding:8px 14px;'
        f'font:13px/18px Helvetica,Arial,sans-serif;">{html.escape(label)}</div>'
    )
    body = re.search(r"<body\b[^>]*>", page, re.IGNORECASE)
    at = body.end() if body else 0
    return page[:at] + strip + page[at:]
