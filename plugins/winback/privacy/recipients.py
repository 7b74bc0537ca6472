"""The register of `config/recipients.yaml`: who gets personal data, by which contract.

Without an entry for the mail provider nothing is sent. Whether anything may be sent at all is
`outreach/permission.py`.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from winback import strict_yaml
from winback.errors import DispatchRefused, SettingsError
from winback.outreach.web_address import is_loopback
from winback.settings import Settings

# where the law of the EU holds, or has been found adequate for good
NO_GROUND_NEEDED = ("EU", "EEA")
# SendGrid's EU region is the other host
OUTSIDE_EU = "api.sendgrid.com"
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
NONE_NEEDED = "none needed"
# what people write so that a form is full
_NOTHING = ("none", "no", "n/a", "-", "tbd")


class Recipient(BaseModel):
    """One who gets personal data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    host: Text
    role: Literal["processor", "recipient"]
    contract: Text
    contract_on: date
    region: Text
    ground_of_transfer: Text

    @field_validator("contract", "ground_of_transfer")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if text.casefold() in _NOTHING:
            raise ValueError(
                f"{text!r} names nothing: write what you signed, and as the ground of transfer"
                f" {NONE_NEEDED!r} inside of the EU and EEA"
            )
        return text

    @model_validator(mode="after")
    def _has_ground(self) -> Self:
        is_without = self.ground_of_transfer.casefold() == NONE_NEEDED
        if self.region not in NO_GROUND_NEEDED and is_without:
            raise ValueError(
                f"region {self.region} needs a ground of transfer, such as standard clauses"
            )
        if self.host == OUTSIDE_EU and self.region in NO_GROUND_NEEDED:
            raise ValueError(
                f"{OUTSIDE_EU} is not in the {self.region}: set host and sendgrid_url to"
                " api.eu.sendgrid.com, or name the region and the ground of transfer"
            )
        return self


class Register(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipients: list[Recipient]


def read(path: Path) -> Register:
    """Reads the register.

    Raises:
        SettingsError: It is not there or wrong; the message names the place and the mend.
    """
    return strict_yaml.read(path, Register, SettingsError, _explain)


def require_mail_provider(config: Settings) -> None:
    """Refuses to send by a mail provider with whom no contract is on record.

    Raises:
        DispatchRefused: There is no entry for the host of `sendgrid_url`, or its contract is not
            in force yet.
        SettingsError: The register is not there or wrong.
    """
    # what takes mail on this machine for real passes it on to somebody
    if config.mail_transport == "sandbox" and is_loopback(config.sendgrid_url):
        return
    host = urlsplit(config.sendgrid_url).hostname
    entry = next((r for r in read(config.recipients).recipients if r.host == host), None)
    if entry is None:
        raise DispatchRefused(
            f"{config.recipients} names no contract with the mail provider at {host}: nothing is"
            " sent; add an entry with that host, role processor, and the contract you signed"
        )
    if entry.role != "processor":
        raise DispatchRefused(
            f"{config.recipients}: {entry.name} sends your mail on your behalf, so its role is"
            " processor: correct the entry, and sign such a contract if there is none"
        )
    if entry.contract_on > config.today():
        raise DispatchRefused(
            f"{config.recipients}: the contract with {entry.name} begins on {entry.contract_on}:"
            " nothing is sent before"
        )


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return (
        f"`{place or 'the file'}`: {first['msg'].removeprefix('Value error, ')};"
        " its head shows an entry"
    )
