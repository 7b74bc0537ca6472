"""The rules of `config/country_rules.yaml`: what allows a message beside express consent.

Read and checked here, and handed to `ops.eligibility` as `ops.country_rule`. Data and not code, so
that a lawyer can read and change them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, RootModel, ValidationError, model_validator

from winback import strict_yaml
from winback.errors import SettingsError
from winback.warehouse import connection as warehouse

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Channel = Literal["email", "phone", "letter", "ads"]
Kind = Literal["consumer", "business"]
Ground = Literal["existing_customer", "presumed_consent", "until_objection"]
Law = Annotated[str, Field(min_length=1)]


class CountryRules(RootModel[dict[Country, dict[Channel, dict[Kind, dict[Ground, Law]]]]]):
    """The whole file."""

    @model_validator(mode="after")
    def _fits_the_channel(self) -> Self:
        # a rule by which nothing is ever allowed would be believed to allow it
        for country, channel, kind, ground, _ in self.rows():
            if (channel == "email") != (ground == "existing_customer"):
                may = (
                    "existing_customer alone may stand there"
                    if channel == "email"
                    else "presumed_consent or until_objection may stand there"
                )
                raise ValueError(f"`{country}.{channel}.{kind}`: {ground} allows no message; {may}")
        return self

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Country, channel, kind, ground and law of each rule."""
        return [
            (country, channel, kind, ground, law)
            for country, channels in self.root.items()
            for channel, kinds in channels.items()
            for kind, grounds in kinds.items()
            for ground, law in grounds.items()
        ]


def read(path: Path) -> CountryRules:
    """Reads the file.

    Raises:
        SettingsError: It is not there or wrong; the message names the place and the mend.
    """
    return strict_yaml.read(path, CountryRules, SettingsError, _explain)


def store(rules: CountryRules) -> None:
    """Replaces the rules that verdicts go by."""
    with warehouse.connect("loader") as connection:
        connection.execute("delete from ops.country_rule")
        connection.cursor().executemany(
            "insert into ops.country_rule (country, channel, kind, ground, law)"
            " values (%s, %s, %s, %s, %s)",
            rules.rows(),
        )


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "value_error":
        return first["msg"].removeprefix("Value error, ")
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    return (
        f"`{place or 'the file'}`: {first['msg']}; write country, channel, kind and ground, each"
        " indented below the other, such as DE, email, consumer, existing_customer: the law"
    )
