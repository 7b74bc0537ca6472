"""Which sentences a message must say about itself: why it comes, and by what an offer was made.

They are files of `campaigns/templates`; `message.py` and `template_mail.py` write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from winback.errors import CampaignError

# what allows the message, and so what it must say: the consent, or the sale
Ground = Literal["consent", "existing_customer"]


def reasons(
    language: str, ground: Ground, *, has_offer: bool, is_survey: bool = False
) -> list[str]:
    """The names of the files, in the order in which they are read; the first says why it comes.

    Args:
        language: Of the message, such as `de`.
        ground: What allows it.
        has_offer: People got it by their value so far, which the law wants said: a price that was
            made for somebody by a machine (directive 2011/83/EU, article 6 (1) (ea)).
        is_survey: They agreed to be asked, which is another consent than that to news.
    """
    agreed = ".survey" if is_survey else ""
    why = f"why{agreed if ground == 'consent' else f'.{ground}'}.{language}.txt"
    return [why, f"offer.{language}.txt"] if has_offer else [why]


def as_told(names: Sequence[str], told: Sequence[str], date: str) -> str:
    """What these files say, as one text.

    Args:
        names: From `reasons`.
        told: What each says.
        date: What stands for the day since when the message is allowed.

    Raises:
        CampaignError: The first does not say since when.
    """
    if date not in told[0]:
        raise CampaignError(
            f"templates/{names[0]} lacks the date: write {{{{ grounded_on }}}} in it"
        )
    return " ".join(told)
