"""The hours of the night in which nobody is written to: pure functions of the clock.

Says when the quiet ends. That a message waits for it, and how it is taken back meanwhile, is the
affair of `outreach/scheduled_batches.py` and `outreach/taking_back.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from winback.errors import SettingsError

# so far ahead runs are looked at: whatever a week has
_DAYS = timedelta(days=8)
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class QuietHours:
    """From one time of day to another, over midnight when the second is the earlier one."""

    begins: time
    ends: time
    zone: ZoneInfo

    def end_of_quiet(self, now: datetime) -> datetime | None:
        """When the quiet that reigns at `now` ends, in UTC; None when it is not quiet.

        A time of day that the clocks skip or repeat counts so that the quiet is the longer one.
        """
        today = now.astimezone(self.zone).date()
        for day in (today - timedelta(days=1), today):
            last = day if self.begins < self.ends else day + timedelta(days=1)
            end = max(self._instants(last, self.ends))
            if min(self._instants(day, self.begins)) <= now < end:
                # where the clocks skip an hour, the next night may have begun by then
                return self.end_of_quiet(end) or end
        return None

    def _instants(self, day: date, at: time) -> list[datetime]:
        return [
            datetime.combine(day, at.replace(fold=fold), self.zone).astimezone(UTC)
            for fold in (0, 1)
        ]


def is_every_run_quiet(quiet: QuietHours, crons: Iterable[str], now: datetime) -> bool:
    """Whether all runs of a week lie within the quiet hours; of rarer ones, the next.

    Args:
        quiet: The quiet hours.
        crons: When runs begin, in the zone of the quiet hours. One that can not be read says
            nothing: the scheduler refuses it by itself.
        now: From when on.
    """
    # every command reads the settings, and few ask this
    from croniter import croniter  # type: ignore[import-untyped]

    readable = [cron for cron in crons if croniter.is_valid(cron)]
    for cron in readable:
        runs = croniter(cron, now.astimezone(quiet.zone), ret_type=datetime)
        run = runs.get_next()
        while quiet.end_of_quiet(run):
            run = runs.get_next()
            if run > now + _DAYS:
                break
        else:
            return False
    return bool(readable)


def read_quiet_hours(text: str, zone: ZoneInfo) -> QuietHours | None:
    """Reads the setting `quiet_hours`, such as `20:00-08:00`; None when it is empty.

    Raises:
        SettingsError: It is written in another way, or begins when it ends.
    """
    if not text:
        return None
    found = _HOURS.fullmatch(text)
    begins, ends = (
        (time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])))
        if found
        else (time(), time())
    )
    if begins == ends:
        raise SettingsError(
            f"quiet_hours is {text!r}: write when nobody is written to, such as 20:00-08:00, or"
            " nothing"
        )
    return QuietHours(begins, ends, zone)
