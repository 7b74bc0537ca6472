"""`./winback explain`: the whole story of one customer, in words. Names and addresses stay out.

Only what is printed; what is read lies in `customer_story.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from winback.terminal import line, out, print_table

if TYPE_CHECKING:
    from winback.customer_story import Row, Story


def explain(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="A customer_key, or the id at your source.")
    ],
) -> None:
    """Tell the whole story of one customer: purchases, rhythm, state, reasons, warnings, value, and
    what every campaign decided and sent. Names and addresses are not shown. Works while winback is
    down, too.

    Example:

        ./winback explain 10042
    """
    from winback import customer_story
    from winback.extract.snapshot import chosen_dataset
    from winback.server.instance_command import work_inside
    from winback.settings import settings
    from winback.warehouse import connection as warehouse

    work_inside()
    with warehouse.connect("sender") as connection:
        key = customer_story.find(connection, customer, chosen_dataset(settings()))
        story = customer_story.read(connection, key)
    for tell in (_who, _purchases, _rhythm, _state, _reasons, _warning, _value, _campaigns):
        tell(story)


def _who(story: Story) -> None:
    known = story.customer
    line(f"customer {known['customer_key']}, known since {known['registered_on']}")
    others = [key for key in story.members if key != known["customer_key"]]
    if others:
        line(f"  the same person as {', '.join(others)}")


def _purchases(story: Story) -> None:
    _heading("Purchases")
    if not story.purchases:
        line("  never bought anything")
        return
    known = story.customer
    line(
        f"  {known['n_orders']} orders on {known['n_purchases']} days since"
        f" {known['first_purchase_date']}; the newest:"
    )
    _table(
        ("day", "days since the one before", "orders", "items", "paid"),
        (
            (row["purchase_date"], row["gap_days"], row["n_orders"], row["quantity"],
             _money(row["amount_cents"], row["currency"]))
            for row in story.purchases
        ),
    )  # fmt: skip


def _rhythm(story: Story) -> None:
    if story.rhythm is None:
        return
    rhythm = story.rhythm
    _heading("Rhythm")
    line(
        f"  buys every {rhythm['expected_days']:.0f} days; nine in ten gaps end within"
        f" {rhythm['late_days']:.0f} days; lapsed after {rhythm['lapse_after_days']:.0f}"
        f" (from {_count(rhythm['n_gaps'], 'own gap')} and everybody's)"
    )
    if rhythm["calendar_kind"]:
        line(f"  buys by the calendar: {rhythm['calendar_kind']}")
    if story.state is not None:
        state = story.state
        line(
            f"  the next purchase was to be expected from {state['expected_next_purchase_from']} to"
            f" {state['expected_next_purchase_until']}"
        )


def _state(story: Story) -> None:
    if story.state is None:
        return
    state = story.state
    _heading(f"State on {state['as_of']}")
    lapsed = ", lapsed" if state["is_lapsed"] else ""
    bought = (
        "by contract alone"
        if state["days_since_last_purchase"] is None
        else f"{state['days_since_last_purchase']} days without a purchase"
    )
    line(f"  {state['state']}{lapsed} since {state['state_since']}; {bought}")
    if state["not_lapsed_because"]:
        line(f"  silent, and only looks gone: {state['not_lapsed_because']}")
    for excuse in story.excuses:
        until = excuse["until_date"] or "further notice"
        line(f"  said: {excuse['signal']}; counts from {excuse['from_date']} until {until}")
    _table(
        ("from", "until", "state", "lapsed", "only looks gone"),
        (
            (row["valid_from"], row["valid_until"] or "now", row["state"],
             "yes" if row["is_lapsed"] else "no", row["not_lapsed_because"])
            for row in story.changes
        ),
    )  # fmt: skip


def _reasons(story: Story) -> None:
    _heading("Reasons")
    if not story.losses:
        line("  was never lost")
    lost_on = None
    for row in story.losses:
        if row["lost_on"] != lost_on:
            lost_on = row["lost_on"]
            end = f"back on {row['returned_on']}" if row["returned_on"] else "until now"
            line(f"  lost on {lost_on}, {end}; last purchase before on {row['last_purchase_date']}")
        said = ", as stated" if row["is_stated"] else ""
        fault = ", our own fault" if row["is_own_fault"] else ""
        line(f"    {row['rank']}. {row['reason']}{said}{fault}, weight {row['weight']:.1f}")
        line(f"       {row['evidence']}")
        if row["fixed_on"]:
            line(f"       fixed on {row['fixed_on']}: {row['fixed_what']}")


def _warning(story: Story) -> None:
    _heading("Warning")
    if story.warning is None:
        line("  none")
        return
    warning = story.warning
    line(f"  {warning['severity']}, since {warning['since']}: {warning['signs']}")
    if warning["is_about_contact_person"]:
        line("  may be about the contact person: goes to the owner's manager")


def _value(story: Story) -> None:
    known = story.customer
    _heading("Value")
    if known["value_tier"] is None:
        line("  nothing was bought")
        return
    currency = next((row["currency"] for row in story.purchases), None)
    line(
        f"  {known['value_tier']} value, {known['segment_before']}:"
        f" {_money(known['turnover_cents'], currency)} so far"
    )
    if story.objection:
        objected_on = story.objection["objected_at"].date()
        line(f"  nothing is estimated: objected to advertising on {objected_on}")
    for name, value in (story.value or {}).items():
        if name.endswith("_cents") and value is not None:
            line(f"  {_words(name.removesuffix('_cents'))}: {_money(value, currency)}")
        elif name.startswith(("probability", "expected")) and value is not None:
            line(f"  {_words(name)}: {value:.3f}")


def _campaigns(story: Story) -> None:
    _heading("Campaigns")
    if not (story.assignments or story.verdicts or story.messages):
        line("  was in none")
    currency = next((row["currency"] for row in story.purchases), None)
    for row in story.economics:
        line(f"  {row['campaign_id']}: {_is_worth_it(row, currency)}")
    _table(
        ("campaign", "drawn on", "arm", "because", "occasion"),
        (
            (row["campaign_id"], row["as_of"], row["arm"], row["reason"],
             f"{_words(row['occasion'])} {row['occasion_date']}")
            for row in story.assignments
        ),
    )  # fmt: skip
    _table(
        ("campaign", "judged (UTC)", "in step", "channel", "verdict"),
        (
            (row["campaign_id"] or "none", f"{row['decided_at']:%Y-%m-%d %H:%M}", row["step"],
             row["channel"],
             "eligible" if row["is_eligible"] else ", ".join(row["reasons"]))
            for row in story.verdicts
        ),
    )  # fmt: skip
    _table(
        ("campaign", "message", "step", "channel", "state", "because", "events"),
        (
            (row["campaign_id"], row["message_id"], row["step"], row["channel"], row["state"],
             row["reason"], row["events"])
            for row in story.messages
        ),
    )  # fmt: skip


def _is_worth_it(row: Row, currency: str | None) -> str:
    """The rule CRC / CLV < 1 in words."""
    is_despite = row["is_must_win"] and row["finding"] != "returns_more"
    despite = "; must be won back all the same" if is_despite else ""
    if row["finding"] == "no_score":
        return f"costs and value not judged on {row['as_of']}: no score"
    chance = (
        f"{100 * row['p_treated']:.2f} % expected to return with a message,"
        f" {100 * row['p_holdout']:.2f} % without, as {row['lift_from']}"
    )
    if row["finding"] == "nobody_more_returns":
        return f"a message brings nobody back ({chance}){despite}"
    crc, clv = _money(row["crc_cents"], currency), _money(row["clv_cents"], currency)
    if row["finding"] == "no_value":
        return f"one recovery costs {crc}, and the customer would bring {clv}{despite}"
    verdict = "" if row["finding"] == "returns_more" else ", more than it returns"
    told = f"one recovery costs {crc} of expected {clv} (ratio {row['ratio']:.2f})"
    return f"{told}{verdict}; {chance}{despite}"


def _heading(text: str) -> None:
    out.print()
    out.print(Text(text, "bold"))


def _table(titles: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> None:
    listed = list(rows)
    if not listed:
        return
    table = Table(*titles, header_style="bold")
    for row in listed:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    print_table(table)


def _money(cents: int | Decimal, currency: str | None) -> str:
    return f"{cents / 100:,.2f} {currency or ''}".rstrip()


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _words(name: str) -> str:
    return name.replace("_", " ")
