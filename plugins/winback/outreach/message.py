"""What a message says: pure functions from a template and a recipient to a mail.

A mail is composed once per language and shape with tags in the place of personal values, because
the mail API takes one body and the values per recipient. A mail without sender identity, reason,
stop link and List-Unsubscribe headers can not be built. Sending is `dispatch.py`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import get_args
from uuid import UUID

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from winback.errors import CampaignError
from winback.outreach.reasons import Ground, as_told, reasons
from winback.outreach.required_parts import lacking
from winback.outreach.web_address import is_web_address
from winback.select.campaigns import LANGUAGES

DEFAULT_LANGUAGE = "en"
# what differs from one recipient to the next; first_name may be absent, the others never
PERSONAL = (
    "first_name",
    "last_purchase_on",
    "grounded_on",
    "unsubscribe_url",
    "preferences_url",
)
MAX_NAME_LENGTH = 100
Shape = tuple[str, bool, Ground]
SHAPES: tuple[Shape, ...] = tuple(
    (language, has_name, ground)
    for language in LANGUAGES
    for has_name in (True, False)
    for ground in get_args(Ground)
)
_NO_NAME = (
    "not everybody has a first_name: write"
    " {% if first_name %}… {{ first_name }}{% else %}…{% endif %}"
)
# People sign up with "win at evil.example" as their name, so that shops mail it for them.
_ADVERTISING = re.compile(r"://|@|\w\.\w{2}")


class _NoName(StrictUndefined):
    """A first name that is absent: false when it is asked for, an error when it is written."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False


@dataclass(frozen=True)
class Sender:
    """Who writes, as it stands in every message."""

    name: str
    email: str
    postal_address: str


# not frozen: that takes three times as long to make, and there is one for each message
@dataclass(slots=True)
class Recipient:
    """Whom a message goes to, with everything in it that is personal."""

    message_id: UUID
    address: str
    first_name: str | None
    locale: str | None
    last_purchase_on: date
    grounded_on: date
    unsubscribe_url: str
    ground: Ground = "consent"

    @property
    def language(self) -> str:
        """The language of the message: the locale's when there is a template, else English."""
        language = (self.locale or "")[:2].lower()
        return language if language in LANGUAGES else DEFAULT_LANGUAGE

    @property
    def preferences_url(self) -> str:
        """Where the recipient chooses channels and how often; the token is the same."""
        return "/preferences/".join(self.unsubscribe_url.rsplit("/unsubscribe/", 1))

    @property
    def shape(self) -> Shape:
        """Recipients of the same shape share one composed mail."""
        return self.language, bool(self.name), self.ground

    @property
    def name(self) -> str:
        """The first name as it is written; empty when there is none that could be."""
        # far more than is kept, so that a name of megabytes costs nothing
        return _name((self.first_name or "")[: 10 * MAX_NAME_LENGTH])


@dataclass(frozen=True)
class Mail:
    """A composed mail; its parts hold tags until `personal_values` takes their place."""

    subject: str
    text: str
    html: str


def compose(
    folder: Path, template: str, shape: Shape, sender: Sender, *,
    has_offer: bool, is_survey: bool = False,
) -> Mail:  # fmt: skip
    """Composes the mail that all recipients of a shape receive.

    Args:
        folder: Folder of templates.
        template: The campaign's template.
        shape: From `Recipient.shape`.
        sender: Who writes.
        has_offer: Then the mail says by what it was made.
        is_survey: Then it says that they agreed to be asked.

    Raises:
        CampaignError: The template is wrong, or lacks what every message must carry.
    """
    require_sender(sender)
    language, has_first_name, ground = shape
    sentences = reasons(language, ground, has_offer=has_offer, is_survey=is_survey)
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folder),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
    )

    def render(name: str, kind: str) -> str:
        values: dict[str, object] = {p: Markup(tag(p, kind)) for p in PERSONAL}  # noqa: S704 - our own tags
        values |= {
            "first_name": values["first_name"] if has_first_name else _NoName(_NO_NAME),
            "language": language,
            "sender_name": sender.name,
            "sender_postal_address": sender.postal_address,
        }
        if name not in sentences:
            values["why"] = Markup(html.escape(why[kind]) if kind == "html" else why[kind])  # noqa: S704
        try:
            text = environment.get_template(name).render(values).strip()
        except CampaignError:
            raise
        except Exception as error:  # a template can raise anything, such as {{ 1 / 0 }}
            raise CampaignError(explain(name, error)) from error
        if not text:
            raise CampaignError(f"templates/{name} is empty: write what it is to say")
        return text

    why = {
        kind: as_told(sentences, [render(s, kind) for s in sentences], tag("grounded_on", kind))
        for kind in ("text", "html")
    }
    mail = Mail(
        subject=" ".join(render(f"{template}/subject.{language}.txt", "text").split()),
        text=render(f"{template}/body.{language}.txt", "text"),
        html=render(f"{template}/body.{language}.html", "html"),
    )
    _require_footer(mail, template, language, why, sender)
    return mail


def require_sender(sender: Sender) -> None:
    """Refuses a sender of whom something is missing.

    Raises:
        CampaignError: With the settings to make.
    """
    if not (sender.name and sender.email and sender.postal_address):
        raise CampaignError(
            "a message must say who writes: set sender_name, sender_email and"
            " sender_postal_address in config/winback.yaml"
        )


def tag(name: str, kind: str) -> str:
    """What stands for a personal value in a composed mail; `kind` is `text` or `html`."""
    return f"%winback.{name}.{kind}%"


_TAGS = {(name, kind): tag(name, kind) for name in PERSONAL for kind in ("text", "html")}


def personal_values(recipient: Recipient) -> dict[str, str]:
    """What takes the place of each tag, escaped for the part in which the tag stands."""
    locale = _locale(recipient.locale, recipient.language)
    values = {
        "first_name": recipient.name,
        "last_purchase_on": _written(recipient.last_purchase_on, locale),
        "grounded_on": _written(recipient.grounded_on, locale),
        "unsubscribe_url": recipient.unsubscribe_url,
        "preferences_url": recipient.preferences_url,
    }
    filled = {}
    for name, value in values.items():
        filled[_TAGS[name, "text"]] = value
        filled[_TAGS[name, "html"]] = html.escape(value)
    return filled


def headers(recipient: Recipient) -> dict[str, str]:
    """The headers by which mail programs offer to unsubscribe with one click (RFC 8058)."""
    url = recipient.unsubscribe_url
    page, _, token = url.rpartition("/")
    if not (token.isalnum() and token.isascii() and _is_web_address(page)):
        raise CampaignError("public_url must be a web address, such as https://shop.example")
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


# one page for all
_is_web_address = lru_cache(maxsize=16)(is_web_address)


def fill(part: str, values: Mapping[str, str]) -> str:
    """A part as one recipient reads it, for previews."""
    for name, value in values.items():
        part = part.replace(name, value)
    return part


def _require_footer(
    mail: Mail, template: str, language: str, why: Mapping[str, str], sender: Sender
) -> None:
    for kind, part in (("text", mail.text), ("html", mail.html)):
        links = {
            "the stop link {{ unsubscribe_url }}": tag("unsubscribe_url", kind),
            "the link to one's wishes {{ preferences_url }}": tag("preferences_url", kind),
        }
        words = {
            "the reason {{ why }}": why[kind],
            "the sender {{ sender_name }}": sender.name,
            "the address {{ sender_postal_address }}": sender.postal_address,
        }
        if what := lacking(part, kind, links, words):
            raise CampaignError(
                f"template {template!r} ({language}, {kind}) lacks {what}:"
                f" include footer.{language}.{'html' if kind == 'html' else 'txt'}"
            )


def explain(name: str, error: Exception) -> str:
    """What is wrong with a template, in one line with its file."""
    where = getattr(error, "name", None) or name
    line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
    if isinstance(error, UnicodeDecodeError):
        return f"templates/{name}: not UTF-8; save the file as UTF-8"
    if isinstance(error, TemplateNotFound):
        return f"templates/{error.name} is missing: write it"
    return f"templates/{where}{line}: {' '.join(str(error).split())[:200] or type(error).__name__}"


@lru_cache(maxsize=1024)
def _locale(locale: str | None, language: str) -> Locale:
    """The locale when it is one of that language; a mistyped one must not stop anybody's mail."""
    try:
        parsed = Locale.parse((locale or language).replace("-", "_"))
    except (ValueError, TypeError, UnknownLocaleError):
        parsed = Locale.parse(language)
    return parsed if parsed.language == language else Locale.parse(language)


# asked for twice in each message, and many are called the same
@lru_cache(maxsize=4096)
def _name(raw: str) -> str:
    # a % could make a tag, which would then be filled as ours are
    name = _one_line(raw.replace("%", ""))[:MAX_NAME_LENGTH].strip()
    return "" if _ADVERTISING.search(name) else name


# many recipients share a day, and babel takes longer over one than all the rest of a message
@lru_cache(maxsize=4096)
def _written(day: date, locale: Locale) -> str:
    return format_date(day, format="long", locale=locale)


def _one_line(text: str) -> str:
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())
