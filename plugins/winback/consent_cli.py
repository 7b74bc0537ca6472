"""`./winback consent`: ask for a consent, and see what the law and the contracts allow.

Only what is printed; the work is done in `privacy/`.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from winback.terminal import line, print_table, user_name

app = typer.Typer(no_args_is_help=True, help="Ask for consents; see what allows a message.")


@app.command(short_help="Ask a customer by mail to confirm a consent (double opt-in).")
def request(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Your id of the customer.")],
    source: Annotated[
        str, typer.Option(help="Where the customer said that they want it, such as checkout.")
    ],
    purpose: Annotated[str, typer.Option(help="marketing or survey.")] = "marketing",
) -> None:
    """Send one mail without advertising that asks to confirm a consent for e-mail. Only for people
    who asked for it themselves; where is kept as proof, with the words, the times and your name.

    Example:

        ./winback consent request 4711 --purpose marketing --source "form at the till"
    """
    from winback.privacy.opt_in_request import ask

    asked = ask(customer, purpose, source, user_name())
    if asked.state == "unknown":
        line(
            f"asked ({asked.text_version}), but nobody knows whether the mail left: it is not sent"
            " again by itself"
        )
    else:
        line(f"asked ({asked.text_version}): the link works until {asked.expires_on}")


@app.command(short_help="Read config/country_rules.yaml anew, and show it.")
def rules() -> None:
    """Read what allows a message beside express consent, by country, channel and kind of customer,
    and judge by it from now on.
    """
    from winback.privacy import country_rules
    from winback.settings import settings

    read = country_rules.read(settings().country_rules)
    country_rules.store(read)
    table = Table("country", "channel", "customer", "beside consent", "law")
    for row in read.rows():
        table.add_row(*row)
    print_table(table)


@app.command(short_help="Who gets personal data, and whether mail may leave.")
def recipients() -> None:
    """Show config/recipients.yaml, and whether mail may leave by the provider that is set."""
    from winback.errors import DispatchRefused
    from winback.privacy.recipients import read, require_mail_provider
    from winback.settings import settings

    config = settings()
    table = Table("name", "role", "contract", "since", "region", "ground of transfer")
    for each in read(config.recipients).recipients:
        table.add_row(
            each.name,
            each.role,
            each.contract,
            str(each.contract_on),
            each.region,
            each.ground_of_transfer,
        )
    print_table(table)
    try:
        require_mail_provider(config)
    except DispatchRefused as refused:
        line(str(refused))
    else:
        line(f"mail may leave by {config.sendgrid_url}")
