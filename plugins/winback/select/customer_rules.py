"""The rules of `config/customer_rules.yaml`: who is not wanted back, and who must be won back.

Read and checked here, and handed to dbt as `ops.customer_rule`; the facts they are held against are
`int_customers__facts`, whom they concern is `fct_customer_rules`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from winback import strict_yaml
from winback.errors import CustomerRuleError
from winback.privacy.keyed_hash import customer_hasher
from winback.settings import settings
from winback.warehouse import connection as warehouse

Fact = Literal[
    "n_orders", "n_purchases", "turnover_cents", "margin_cents", "returned_pct", "n_unpaid",
    "n_reminders", "n_complaints", "mean_rating", "n_referrals", "was_champion",
]  # fmt: skip
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """What a fact has to be."""

    at_least: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("write at_least, below, or both")
        return self


class Rule(_Strict):
    """One rule: conditions that must all hold, or customers by name."""

    because: str = Field(min_length=1)
    when: dict[Fact, Limits] = Field(default_factory=dict)
    customers: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if bool(self.when) == bool(self.customers):
            raise ValueError("write conditions below `when`, or ids below `customers`")
        return self


class CustomerRules(_Strict):
    """The whole file."""

    do_not_want: dict[Name, Rule] = Field(default_factory=dict)
    must_win: dict[Name, Rule] = Field(default_factory=dict)


# Rules that speak against somebody on a date, asked by the selection and right before sending.
NOT_WANTED = """
select customer_key, string_agg(because, '; ' order by rule) as because
from marts.fct_customer_rules
where kind = 'do_not_want' and as_of = %(as_of)s
group by customer_key
"""


def read(path: Path) -> CustomerRules:
    """Reads the file.

    Raises:
        CustomerRuleError: It is not there or wrong; the message names the place and the mend.
    """
    return strict_yaml.read(path, CustomerRules, CustomerRuleError, _explain)


def store(rules: CustomerRules) -> None:
    """Replaces the rules that dbt reads."""
    hashed = customer_hasher(settings().dataset)
    rows: list[tuple[object, ...]] = []
    for kind in ("do_not_want", "must_win"):
        for name, rule in getattr(rules, kind).items():
            for fact, limits in rule.when.items():
                rows.append((kind, name, rule.because, fact, limits.at_least, limits.below, None))
            for customer in rule.customers:
                rows.append((kind, name, rule.because, None, None, None, hashed(customer)))
    with warehouse.connect("loader") as connection:
        connection.execute("delete from ops.customer_rule")
        connection.cursor().executemany(
            "insert into ops.customer_rule"
            " (kind, rule, because, fact, at_least, below, customer_key)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
        # the file may name somebody long after they were erased
        connection.execute(
            "delete from ops.customer_rule"
            " where customer_key in (select customer_key from ops.erased_customer)"
        )


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if "literal_error" in first["type"]:
        return f"`{place}` is no fact; the facts are {', '.join(get_args(Fact))}"
    if first["type"] == "extra_forbidden":
        return f"`{place}` is no key here: leave it out"
    return f"`{place or 'the file'}`: {first['msg'].removeprefix('Value error, ')}"
