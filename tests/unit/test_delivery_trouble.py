"""When bounces or spam reports stop a campaign: figures in, reason out."""

from __future__ import annotations

import pytest

from winback.outreach.delivery_trouble import Told, trouble
from winback.settings import Settings

CONFIG = Settings()


@pytest.mark.parametrize(
    "told",
    [
        Told(0, 0, 0),
        Told(10_000, 0, 0),
        # a bad beginning, and nothing yet if the others of the first 200 go well
        Told(3, 1, 0),
        Told(199, 9, 1),
        # one report, whatever its share
        Told(300, 0, 1),
        Told(200, 9, 0),
        Told(100_000, 4_999, 99),
    ],
)
def test_it_goes_on(told: Told) -> None:
    assert trouble(told, CONFIG) is None


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (Told(200, 10, 0), "10 of 200 messages bounced (5.00 %, the limit is 5 %): find out"),
        # enough for all of the first 200, however few have left
        (Told(12, 10, 0), "10 of 12 messages bounced (83.33 %, the limit is 5 %)"),
        (Told(20, 0, 2), "2 of 20 messages were reported as spam (10.00 %, the limit is 0.1 %)"),
        (Told(300, 0, 2), "2 of 300 messages were reported as spam (0.67 %, the limit is 0.1 %)"),
        (Told(100_000, 0, 100), "100 of 100,000 messages were reported as spam (0.10 %"),
        # both: what the list lacks comes before what the mail says
        (Told(1_000, 500, 500), "500 of 1,000 messages bounced"),
    ],
)
def test_it_stops_and_says_why(told: Told, says: str) -> None:
    assert says in (trouble(told, CONFIG) or "")


def test_the_thresholds_are_settings() -> None:
    config = Settings(stop_at_bounce_pct=50, stop_at_spam_report_pct=20, stop_after_messages=10)
    assert trouble(Told(9, 4, 1), config) is None
    assert "the limit is 50 %" in (trouble(Told(9, 5, 0), config) or "")
    assert trouble(Told(10, 4, 1), config) is None
    assert "the limit is 50 %" in (trouble(Told(10, 5, 0), config) or "")
    assert "the limit is 20 %" in (trouble(Told(10, 0, 2), config) or "")
