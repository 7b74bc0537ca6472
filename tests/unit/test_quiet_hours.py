"""Quiet hours: when they end, also on the days on which the clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from winback.errors import SettingsError
from winback.outreach.sendgrid_schedule import CANCELLABLE_UNTIL
from winback.quiet_hours import QuietHours, read_quiet_hours
from winback.settings import Settings

BERLIN = ZoneInfo("Europe/Berlin")


def hours(text: str, zone: ZoneInfo = BERLIN) -> QuietHours:
    found = read_quiet_hours(text, zone)
    assert found is not None
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "now", "end"),
    [
        # in winter Berlin is an hour ahead of UTC, in summer two
        ("20:00-08:00", "2026-01-10T18:59:59", None),
        ("20:00-08:00", "2026-01-10T19:00:00", "2026-01-11T07:00:00"),
        ("20:00-08:00", "2026-01-11T06:59:59", "2026-01-11T07:00:00"),
        ("20:00-08:00", "2026-01-11T07:00:00", None),
        ("20:00-08:00", "2026-07-10T18:00:00", "2026-07-11T06:00:00"),
        # within one day
        ("12:00-14:30", "2026-01-10T11:00:00", "2026-01-10T13:30:00"),
        ("12:00-14:30", "2026-01-10T13:30:00", None),
        ("12:00-14:30", "2026-01-10T23:30:00", None),
        # over the year's end
        ("22:00-06:00", "2025-12-31T23:30:00", "2026-01-01T05:00:00"),
        # to midnight, and from midnight
        ("20:00-00:00", "2026-01-10T20:00:00", "2026-01-10T23:00:00"),
        ("20:00-00:00", "2026-01-10T23:00:00", None),
        ("00:00-08:00", "2026-01-10T23:00:00", "2026-01-11T07:00:00"),
        # the night of 29 March 2026 is an hour shorter, that of 25 October an hour longer
        ("20:00-08:00", "2026-03-28T19:00:00", "2026-03-29T06:00:00"),
        ("20:00-08:00", "2026-10-24T18:00:00", "2026-10-25T07:00:00"),
        # 02:30 is skipped in spring: quiet until the clock has shown more than that
        ("20:00-02:30", "2026-03-28T22:00:00", "2026-03-29T01:30:00"),
        # and comes twice in autumn: quiet until the second time, from the first time on
        ("20:00-02:30", "2026-10-24T22:00:00", "2026-10-25T01:30:00"),
        ("20:00-02:30", "2026-10-25T01:29:59", "2026-10-25T01:30:00"),
        ("20:00-02:30", "2026-10-25T01:30:00", None),
        ("02:30-08:00", "2026-10-25T00:29:59", None),
        ("02:30-08:00", "2026-10-25T00:30:00", "2026-10-25T07:00:00"),
        ("02:30-08:00", "2026-10-25T01:15:00", "2026-10-25T07:00:00"),
    ],
)
def test_when_the_quiet_ends(quiet: str, now: str, end: str | None) -> None:
    assert hours(quiet).end_of_quiet(at(now)) == (at(end) if end else None)


def test_no_moment_of_two_years_waits_too_long_or_into_quiet() -> None:
    for text in ("20:00-08:00", "02:30-02:00", "02:15-02:45", "23:00-02:30"):
        quiet = hours(text)
        now = at("2025-12-31T00:00:00")
        while now < at("2028-01-01T00:00:00"):
            end = quiet.end_of_quiet(now)
            if end is not None:
                # the provider keeps nothing for more than 72 hours
                assert now < end < now + timedelta(hours=72)
                assert quiet.end_of_quiet(end) is None
            now += timedelta(minutes=53)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC"])
def test_the_zone_is_the_business_s(zone: str) -> None:
    end = hours("20:00-08:00", ZoneInfo(zone)).end_of_quiet(
        datetime(2026, 5, 5, 21, 0, tzinfo=ZoneInfo(zone))
    )
    assert end == datetime(2026, 5, 6, 8, 0, tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize("text", ["20-8", "20:00", "24:00-08:00", "20:00-20:00", "never", " "])
def test_another_way_of_writing_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(SettingsError, match=r"write when nobody .* such as 20:00-08:00"):
        Settings(quiet_hours=text)


def test_none_by_an_empty_setting_or_in_a_replay() -> None:
    assert Settings(quiet_hours="").quiet() is None
    assert Settings(replay=True).quiet() is None
    assert Settings().quiet() == hours("20:00-08:00")


@pytest.mark.parametrize(
    ("values", "is_said"),
    [
        ({}, False),
        ({"schedule_outreach": "59 7 * * *"}, True),
        ({"schedule_outreach": "0 8 * * *"}, False),
        ({"quiet_hours": "20:00-09:00"}, True),
        ({"quiet_hours": "20:00-09:00", "business_timezone": "Pacific/Apia"}, True),
        # one run that may send at once is enough, on whichever day of the week
        ({"schedule_outreach": "10 7,12 * * *"}, False),
        ({"schedule_outreach": "10 7 * * 1-6", "quiet_hours": "18:00-08:00"}, True),
        ({"schedule_outreach": "*/30 * * * *"}, False),
        ({"schedule_outreach": "10 7 29 2 *"}, True),
        # by what starts it else
        ({"schedule_outreach": "none"}, True),
        ({"schedule_outreach": "none", "schedule_ingest": "0 12 * * *"}, False),
        ({"schedule_outreach": "none", "schedule_ingest": "none"}, False),
        # nothing waits
        ({"schedule_outreach": "59 7 * * *", "quiet_hours": ""}, False),
        ({"schedule_outreach": "59 7 * * *", "replay": True}, False),
        # the scheduler says itself that it can not read this
        ({"schedule_outreach": "at noon", "schedule_ingest": "none"}, False),
    ],
)
def test_it_is_said_when_no_run_may_send_at_once(values: dict[str, Any], is_said: bool) -> None:
    said = Settings(**values).quiet_warning()
    assert (said is not None) == is_said
    if said is not None:
        assert "\n" not in said
        assert "no more than ten requests" in said
        assert Settings(**values).quiet_hours in said


@pytest.mark.parametrize("minute", range(0, 60, 10))
def test_the_last_look_is_three_minutes_before_nothing_can_be_taken_back(minute: int) -> None:
    end = datetime(2026, 1, 10, 8, minute, tzinfo=UTC)
    limit = end - CANCELLABLE_UNTIL
    last = croniter(Settings().schedule_events, limit, ret_type=datetime).get_prev()
    # docs/sendgrid.md says so
    assert end - last == timedelta(minutes=13)
