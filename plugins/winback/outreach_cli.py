"""`./winback outreach`: hold a campaign, and decide about messages nobody knows the fate of.

Only what is printed; the work is done in `outreach/campaign_state.py` and
`outreach/unknown_messages.py`. The commands `preview` and `test` are in `outreach_mail_cli.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from winback import outreach_mail_cli
from winback.terminal import line, print_table, user_name

if TYPE_CHECKING:
    from psycopg import Connection

    from winback.outreach.decisions import Decision, Word
    from winback.outreach.ramp_up import HeldBack
    from winback.outreach.unknown_messages import UnknownRequest

app = typer.Typer(
    no_args_is_help=True,
    help="See a campaign's mails; hold or cancel a campaign; settle unknown messages.",
)
app.command(short_help="Write a campaign's mails as files for a browser.")(
    outreach_mail_cli.preview
)
app.command(short_help="Send a campaign's mails to yourself.")(outreach_mail_cli.test)

_Campaign = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Such as welcome_back.")]
_Ids = Annotated[
    list[UUID], typer.Argument(metavar="ID", help="As ./winback outreach unknown lists them.")
]
_Reason = Annotated[str, typer.Option(help="Why; kept, with your name and the time.")]


@app.command(short_help="Send nothing more until resume.")
def pause(campaign: _Campaign, reason: _Reason) -> None:
    """Hold a campaign: a running worker looks before every request, so at most the one under way
    still leaves. What is planned stays planned, and what waits at the mail provider for the end of
    the quiet hours is taken back and planned again.

    Example:

        ./winback outreach pause welcome_back --reason "wrong price in the mail"
    """
    n = _decide(campaign, "pause", reason)
    line(f"{campaign} is paused: {n:,} messages wait for ./winback outreach resume {campaign}")
    _take_back(campaign)


@app.command(short_help="Let a paused or stopped campaign go on.")
def resume(campaign: _Campaign, reason: _Reason) -> None:
    """Set a campaign to running again, whoever held it: a person, the mail provider that refused
    the account, or figures that did not add up. Sending goes on with the next run.

    Example:

        ./winback outreach resume welcome_back --reason "the key was renewed"
    """
    from winback.outreach import ramp_up
    from winback.settings import settings

    n = _decide(campaign, "resume", reason)
    with _as_sender() as connection:
        held = ramp_up.read_held_back(connection, settings()).get(campaign)
    n_for_later = held.n_for_later if held else 0
    line(
        f"{campaign} runs again: {n - n_for_later:,} messages go out with the next run of"
        " winback_outreach, or now with ./winback run winback_outreach"
    )
    if n_for_later:
        line(f"{n_for_later:,} more wait for the following days: ./winback outreach status")


@app.command(short_help="End a campaign for good; what is planned is never sent.")
def cancel(campaign: _Campaign, reason: _Reason) -> None:
    """End a campaign for good. What is planned or claimed becomes cancelled, and so does what waits
    at the mail provider for the end of the quiet hours, once the provider confirms; what was sent
    stays on record and is measured. There is no way back.

    Example:

        ./winback outreach cancel welcome_back --reason "the offer has ended"
    """
    n = _decide(campaign, "cancel", reason)
    line(f"{campaign} is cancelled for good, with {n:,} messages that were not sent")
    _take_back(campaign)


@app.command(short_help="Say of every campaign whether it runs, and where its messages are.")
def status() -> None:
    """Show every campaign: whether it runs, why not, who decided, and how many messages are in each
    state. Addresses that heard nothing for a year are written to in portions that grow day by day;
    `later` says how many of the planned messages wait for the following days.
    """
    from winback.outreach import ramp_up
    from winback.outreach.campaign_state import read_campaign_states
    from winback.outreach.scheduled_batches import read_waiting
    from winback.settings import settings

    if warning := settings().quiet_warning():
        line(warning)
    with _as_sender() as connection:
        found = read_campaign_states(connection)
        waiting = read_waiting(connection)
        held = ramp_up.read_held_back(connection, settings())
    if not found:
        line("no campaign has selected anybody yet")
        return
    table = Table(
        "campaign",
        "state",
        "because",
        "by",
        "since (UTC)",
        "messages",
        "later",
        header_style="bold",
        box=None,
    )
    for each in found:
        table.add_row(
            each.campaign_id,
            Text(each.state, "green" if each.state == "running" else "red"),
            Text(each.state_reason or ""),
            "" if each.state in ("running", "stopped") else each.decided_by,
            f"{each.updated_at.astimezone(UTC):%Y-%m-%d %H:%M}",
            ", ".join(f"{n:,} {state}" for state, n in sorted(each.counts.items())),
            _later(held.get(each.campaign_id)),
        )
    print_table(table)
    for batch in waiting:
        line(
            f"{batch.n_messages:,} accepted messages of {batch.campaign_id} wait at the provider"
            f" until {batch.send_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )


@app.command(short_help="List the messages nobody knows the fate of.")
def unknown() -> None:
    """List messages whose request got no clear answer. They are never sent again by themselves: the
    provider's event settles them, and after 24 hours without one a person has to decide. Mails that
    asked for a consent are listed as well.
    """
    from winback.outreach.unknown_messages import read_unknown, read_unknown_requests

    with _as_sender() as connection:
        found = read_unknown(connection)
        requests = read_unknown_requests(connection)
    if requests:
        _show_requests(requests)
    if not found:
        line("no message is unknown")
        return
    table = Table(
        "message", "campaign", "step", "channel", "sent (UTC)", "hours", "because", "waits for",
        header_style="bold", box=None,
    )  # fmt: skip
    for each in found:
        table.add_row(
            Text(str(each.message_id), no_wrap=True),
            each.campaign_id,
            str(each.step),
            each.channel,
            f"{each.since.astimezone(UTC):%Y-%m-%d %H:%M}",
            f"{each.n_hours:.1f}",
            Text(each.reason or ""),
            Text("a person", "red") if each.is_for_a_person else "its event",
        )
    print_table(table)
    n = sum(each.is_for_a_person for each in found)
    line(f"{len(found):,} unknown, {n:,} of them waiting for a person")
    line('settle them: ./winback outreach resend ID… --reason "…", or abandon ID… --reason "…"')


def _show_requests(requests: list[UnknownRequest]) -> None:
    table = Table(
        "opt-in request", "for", "sent (UTC)", "hours", "because", header_style="bold", box=None
    )
    for each in requests:
        table.add_row(
            Text(str(each.request_id), no_wrap=True),
            each.purpose,
            f"{each.since.astimezone(UTC):%Y-%m-%d %H:%M}",
            f"{each.n_hours:.1f}",
            Text(each.reason),
        )
    print_table(table)
    line(
        f"opt-in requests of unknown fate: {len(requests):,}; their events settle them, and nobody"
        " is asked again before opt_in_pause_days are over"
    )


@app.command(short_help="Send unknown messages once more; the one exception to at most once.")
def resend(ids: _Ids, reason: _Reason) -> None:
    """Plan these messages anew, as new rows of the ledger, and give the old ones up. Whoever did
    get the first gets two. They pass the last check like every message.

    Example:

        ./winback outreach resend 6f0c… --reason "the provider says it took nothing"
    """
    from winback.outreach import unknown_messages

    with _as_sender() as connection:
        new = unknown_messages.resend(connection, ids, _order("resend", reason))
    for old, message_id in new.items():
        line(f"{old} is abandoned and planned anew as {message_id}")
    line("it goes out with the next run of winback_outreach")


@app.command(short_help="Give unknown messages up.")
def abandon(ids: _Ids, reason: _Reason) -> None:
    """Give these messages up: they are not sent again, and nobody waits for their fate. An event
    that comes after all is recorded.

    Example:

        ./winback outreach abandon 6f0c… --reason "the offer has ended"
    """
    from winback.outreach import unknown_messages

    with _as_sender() as connection:
        unknown_messages.abandon(connection, ids, _order("abandon", reason))
    line(f"{len(set(ids)):,} messages are abandoned")


def _later(held: HeldBack | None) -> str:
    if held is None or not held.n_for_later:
        return ""
    return f"{held.n_for_later:,} on the following days, {held.portion:,} today"


def _decide(campaign: str, word: Word, reason: str) -> int:
    from winback.outreach import campaign_state

    with _as_sender() as connection:
        return campaign_state.decide(connection, campaign, _order(word, reason))


def _take_back(campaign: str) -> None:
    from winback.outreach.taking_back import take_back_campaign

    # the decision stands by now, whatever the provider says
    done = take_back_campaign(campaign)
    for state, n in sorted(done.moved.items()):
        line(f"{n:,} messages were taken back from the mail provider and are {state}")
    for why, n in done.left.items():
        line(f"{n:,} messages could not be taken back from the mail provider: {why}")
    if done.left:
        line("winback_events asks again every ten minutes; now: ./winback run winback_events")


def _order(word: Word, reason: str) -> Decision:
    from winback.outreach.decisions import Decision

    return Decision(word, reason, user_name())


@contextmanager
def _as_sender() -> Iterator[Connection]:
    from winback.server.instance_command import work_inside
    from winback.warehouse import connection as warehouse

    work_inside()
    with warehouse.connect("sender") as connection:
        yield connection
