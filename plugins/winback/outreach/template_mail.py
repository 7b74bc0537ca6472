"""A message whose text is kept at the provider: what we still say in it, as values by name.

Pure functions, as in `message.py`, which composes messages whose text is ours. What the provider's
text must do with these values is `handlebars.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from winback.errors import CampaignError
from winback.outreach.message import (
    PERSONAL,
    Recipient,
    Sender,
    Shape,
    explain,
    fill,
    personal_values,
    require_sender,
    tag,
)
from winback.outreach.reasons import as_told, reasons


@dataclass(frozen=True)
class TemplateMail:
    """A template at the provider, and the reason it comes with; that holds tags for the date."""

    template_id: str
    language: str
    why: str


def compose_template_mail(
    folder: Path, template_id: str, shape: Shape, sender: Sender, *,
    has_offer: bool, is_survey: bool = False,
) -> TemplateMail:  # fmt: skip
    """Composes what all recipients of a shape are told beside the template's own text.

    Args:
        folder: Folder of templates, with the sentences that say why a message comes.
        template_id: The provider's.
        shape: From `Recipient.shape`.
        sender: Who writes.
        has_offer: Then they are told by what it was made.
        is_survey: Then they are told that they agreed to be asked.

    Raises:
        CampaignError: The sentence is wrong or missing, or nobody says who writes.
    """
    require_sender(sender)
    language, _, ground = shape
    names = reasons(language, ground, has_offer=has_offer, is_survey=is_survey)
    # nothing is escaped here: that is the provider's template's affair
    environment = SandboxedEnvironment(loader=FileSystemLoader(folder), undefined=StrictUndefined)
    values = {each: tag(each, "text") for each in PERSONAL if each != "first_name"}
    values |= {
        "language": language,
        "sender_name": sender.name,
        "sender_postal_address": sender.postal_address,
    }
    told = []
    for name in names:
        try:
            told.append(" ".join(environment.get_template(name).render(values).split()))
        except Exception as error:  # a template can raise anything
            raise CampaignError(explain(name, error)) from error
        if not told[-1]:
            raise CampaignError(f"templates/{name} is empty: write what it is to say")
    return TemplateMail(template_id, language, as_told(names, told, tag("grounded_on", "text")))


def template_values(mail: TemplateMail, recipient: Recipient, sender: Sender) -> dict[str, str]:
    """The values by the names under which a template asks for them; not escaped."""
    personal = personal_values(recipient)
    return {name: personal[tag(name, "text")] for name in PERSONAL} | {
        "why": fill(mail.why, personal),
        "sender_name": sender.name,
        "sender_postal_address": sender.postal_address,
        "language": mail.language,
    }
