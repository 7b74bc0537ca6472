"""The mail that asks to confirm a consent: pure functions from templates to words.

It is free of advertising: who writes, why, the words to agree to, one link to confirm and one not
to be asked again. Sending is `opt_in_request.py`; what a click brings about is `record/opt_in.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

from babel.dates import format_date
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from winback.errors import CampaignError
from winback.outreach.message import Mail, Sender, require_sender
from winback.outreach.required_parts import lacking

FOLDER = "opt_in"


@dataclass(frozen=True)
class ConsentText:
    """The very words that somebody is asked to agree to.

    Attributes:
        version: Purpose, language and a digest of the words: other words are another version.
        purpose: What the consent is for.
        language: Of the words.
        content: The words.
    """

    version: str
    purpose: str
    language: str
    content: str


def consent_text(
    templates: Path, purpose: str, language: str, sender: Sender, unused_months: int
) -> ConsentText:
    """The words for a purpose.

    Args:
        templates: Folder of templates.
        purpose: Such as `marketing`.
        language: `de` or `en`.
        sender: The advertiser, whom the words must name.
        unused_months: After so long without use the consent ends.

    Raises:
        CampaignError: There are no words for it, or they do not name advertiser, channel and
            duration. Whether they name the goods, nobody can tell who does not know the shop.
    """
    name = f"{FOLDER}/consent.{purpose}.{language}.txt"
    values = {"sender_name": sender.name, "consent_unused_months": unused_months}
    content = " ".join(_render(templates, name, values).split())
    if not sender.name or sender.name not in content:
        raise CampaignError(
            f"templates/{name} does not name the advertiser: write {{{{ sender_name }}}} in it, and"
            " set sender_name in config/winback.yaml"
        )
    if not re.search(r"\be\W?mail", content, re.IGNORECASE):
        raise CampaignError(f"templates/{name} does not name the channel: write e-mail in it")
    if not re.search(rf"\b{unused_months}\b", content):
        raise CampaignError(
            f"templates/{name} does not say for how long: write {{{{ consent_unused_months }}}} in"
            " it, the months after which an unused consent ends"
        )
    digest = sha256(content.encode()).hexdigest()[:12]
    return ConsentText(f"{purpose}-{language}-{digest}", purpose, language, content)


def compose_request(
    templates: Path,
    text: ConsentText,
    sender: Sender,
    *,
    confirm_url: str,
    stop_url: str,
    requested_on: date,
    expires_on: date,
) -> Mail:
    """Composes the mail for one recipient.

    Args:
        templates: Folder of templates.
        text: What is asked for.
        sender: Who writes.
        confirm_url: The page that confirms.
        stop_url: The page by which the reader is not asked again.
        requested_on: When the address was given.
        expires_on: The last day of the link.

    Raises:
        CampaignError: A template is wrong, or a part lacks what such a mail must carry: who writes,
            from where, the words, and both links.
    """
    require_sender(sender)
    values = {
        "language": text.language,
        "sender_name": sender.name,
        "sender_postal_address": sender.postal_address,
        "consent": text.content,
        "confirm_url": confirm_url,
        "stop_url": stop_url,
        "requested_on": format_date(requested_on, format="long", locale=text.language),
        "expires_on": format_date(expires_on, format="long", locale=text.language),
    }
    subject = _render(templates, f"{FOLDER}/subject.{text.language}.txt", values)
    mail = Mail(
        " ".join(subject.split()),
        _render(templates, f"{FOLDER}/body.{text.language}.txt", values),
        _render(templates, f"{FOLDER}/body.{text.language}.html", values),
    )
    links = {"{{ confirm_url }}": confirm_url, "{{ stop_url }}": stop_url}
    # which name the sender as well
    words = {
        "{{ consent }}": text.content,
        "{{ sender_postal_address }}": sender.postal_address,
    }
    for part, kind in ((mail.text, "text"), (mail.html, "html")):
        if what := lacking(part, kind, links, words):
            file = f"body.{text.language}.{'html' if kind == 'html' else 'txt'}"
            how = ' as <a href="…">' if kind == "html" and what in links else ""
            raise CampaignError(f"templates/{FOLDER}/{file} lacks {what}: write it there{how}")
    return mail


def _render(templates: Path, name: str, values: Mapping[str, object]) -> str:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(templates),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
    )
    try:
        return environment.get_template(name).render(values).strip()
    except (TemplateError, UnicodeDecodeError, OSError) as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise CampaignError(f"templates/{name}: {text}") from error
