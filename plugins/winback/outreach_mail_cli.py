"""`./winback outreach preview` and `test`: see a campaign's mails before customers do.

Only what is printed; the work is done in `outreach/preview.py` and `outreach/trial_send.py`. The
other commands of the group are in `outreach_cli.py`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from winback.terminal import line

_Campaign = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Name of its file, such as welcome_back.")
]


def preview(campaign: _Campaign) -> None:
    """Write the mails of a campaign as files for a browser: each language, with and without a first
    name, and for each ground that the law may rest on. The recipient is made up; nothing is sent.

    Example:

        ./winback outreach preview welcome_back
    """
    from winback.outreach.preview import find_campaign, write_previews
    from winback.settings import settings

    config = settings()
    index = write_previews(find_campaign(campaign, config), config)
    line(f"open {index.as_uri()}")
    line("it holds every mail of the campaign, to a recipient who is made up; nothing was sent")


def test(
    campaign: _Campaign,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Your own; neither kept nor logged.")],
) -> None:
    """Send the mails of a campaign to yourself, by the same way as to customers: each language,
    with and without a first name, and for each ground. Their subjects begin with [Test], the
    recipient in them is made up, and their links change nothing. No customer is written to.

    Example:

        ./winback outreach test welcome_back --to you@shop.example
    """
    from winback.outreach.trial_send import send_to_oneself
    from winback.server.instance_command import work_inside
    from winback.settings import settings

    work_inside()
    config = settings()
    n = send_to_oneself(campaign, to, config)
    line(f"{n} mails were taken by {config.sendgrid_url}; their subjects begin with [Test]")
