"""Dynamic templates kept at SendGrid: fetched and checked before anything is claimed.

What a template must hold is `handlebars.py`. The text of such a message is never here: the request
names the template and gives the values, and the provider puts them together. It always takes the
active version, so what was checked can be replaced by somebody until the request arrives.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from winback.errors import CampaignError, DispatchRefused, RateLimited
from winback.outreach import handlebars
from winback.outreach.message import Recipient, Sender, headers
from winback.outreach.sendgrid_transport import SendGridTransport, request_frame
from winback.outreach.template_mail import TemplateMail, template_values

log = logging.getLogger(__name__)

_PARTS = {"subject": "subject", "text": "plain_content", "html": "html_content"}


def require_templates(transport: SendGridTransport, templates: Mapping[str, str]) -> None:
    """Refuses templates by which no message may be sent.

    Args:
        transport: The way to the provider.
        templates: The template's id, by language.

    Raises:
        CampaignError: A template is not there, or lacks what every message must carry.
        DispatchRefused: The provider does not show it.
        RateLimited: It shows nothing for now.
    """
    for language, template_id in templates.items():
        template = _fetch(transport, template_id, language)
        version = _active(template)
        wrong = (
            ["it has no active version: make one active at the provider"]
            if version is None
            else _problems(template, version)
        )
        if wrong or version is None:
            raise CampaignError(
                f"sendgrid_templates, {language}: {template_id}: {'; '.join(wrong)}"
            )
        log.info(
            "template %s (%s): version %s of %s checked",
            template_id, language, version.get("id"), version.get("updated_at"),
        )  # fmt: skip


def template_request(
    mail: TemplateMail, recipients: Sequence[Recipient], sender: Sender, campaign: str
) -> dict[str, Any]:
    """The request: the template, and per recipient the address, our id, headers and values.

    Args:
        mail: The template, with the reason that its shape of recipients is given.
        recipients: All of one shape.
        sender: Who writes.
        campaign: The category that the provider's statistics use; nothing personal.

    Raises:
        CampaignError: A value that every message must carry is empty.
    """
    personalizations = []
    for recipient in recipients:
        values = template_values(mail, recipient, sender)
        for name, what in handlebars.REQUIRED.items():
            if not values[name].strip():
                raise CampaignError(f"{what} ({name}) is empty: a message can not do without it")
        personalizations.append(
            {
                "to": [{"email": recipient.address}],
                "custom_args": {"message_id": str(recipient.message_id)},
                "headers": headers(recipient),
                "dynamic_template_data": values,
            }
        )
    return request_frame(sender, campaign) | {
        "personalizations": personalizations,
        "template_id": mail.template_id,
    }


def _fetch(transport: SendGridTransport, template_id: str, language: str) -> dict[str, Any]:
    answer = transport.ask("get", f"templates/{template_id}")
    where = f"sendgrid_templates, {language}: {template_id}"
    if answer.status == 404:
        raise CampaignError(
            f"{where} is not there: copy its id from the provider, of the same account as the key"
        )
    if answer.status == 429:
        raise RateLimited(
            f"{where} can not be checked for now ({answer.problem}), and nothing is sent unchecked",
            answer.retry_after,
        )
    if answer.status in (401, 403):
        raise DispatchRefused(
            f"{where} can not be checked ({answer.problem}), and nothing is sent unchecked: give"
            " the key of WINBACK_SENDGRID_API_KEY the permission to read templates"
        )
    if answer.problem or not isinstance(answer.content, dict):
        problem = answer.problem or "no JSON in its answer"
        raise DispatchRefused(
            f"{where} can not be checked ({problem}), and nothing is sent unchecked: the messages"
            " stay planned for the next run"
        )
    return answer.content


def _active(template: dict[str, Any]) -> dict[str, Any] | None:
    versions = template.get("versions")
    for version in versions if isinstance(versions, list) else []:
        if isinstance(version, dict) and version.get("active") == 1:
            return version
    return None


def _problems(template: dict[str, Any], version: dict[str, Any]) -> list[str]:
    if template.get("generation") != "dynamic":
        return ["it is a legacy template: make a dynamic one"]
    found = []
    for kind, name in _PARTS.items():
        part = version.get(name)
        if not isinstance(part, str) or not part.strip():
            found.append(f"its {kind} is empty: write one")
        else:
            found += [f"{kind}: {each}" for each in handlebars.problems(part, kind)]
    return found
