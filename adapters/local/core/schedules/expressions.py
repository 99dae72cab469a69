"""EventBridge Scheduler's ``rate(...)``, ``cron(...)`` and ``at(...)``: when each comes next.

Times go in and out as seconds since the epoch. Local times that daylight saving leaves out do not
come; those that it repeats come once, at their first.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bentofn.adapters.local.core.schedules.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOURS,
    MINUTES,
    MONTH,
    YEAR,
    Days,
    read_days,
)

_RATE = re.compile(r"rate\((\d+)\s+(minute|hour|day)(s?)\)\Z", re.ASCII)
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)\Z", re.ASCII)
_CRON = re.compile(r"cron\((.*)\)\Z")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_CRON_FIELDS = (MINUTES, HOURS, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR)


@dataclass(frozen=True)
class Rate:
    """Every so many seconds, whatever daylight saving does: a day is 24 hours.

    Args:
        seconds: Between two times.
    """

    seconds: int

    def after(self, moment: float, anchor: float) -> float | None:
        """The first time later than a moment.

        Args:
            moment: It.
            anchor: One of the times, before which there is none.
        """
        if moment < anchor:
            return anchor
        return anchor + (math.floor((moment - anchor) / self.seconds) + 1) * self.seconds


@dataclass(frozen=True)
class At:
    """Once.

    Args:
        local: When, by the clocks of the time zone.
        zone: The time zone.
    """

    local: datetime
    zone: tzinfo

    def after(self, moment: float, anchor: float) -> float | None:
        """The time, if it is later than a moment; ``anchor`` does not matter."""
        found = _moment(self.local, self.zone)
        return found if found is not None and found > moment else None


@dataclass(frozen=True)
class Cron:
    """At these minutes, by the clocks of the time zone.

    Args:
        minutes: Of the hour.
        hours: Of the day.
        days: Of the month.
        months: Of the year.
        years: From 1970 to 2199.
        zone: The time zone.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: tuple[int, ...]
    years: tuple[int, ...]
    zone: tzinfo

    def after(self, moment: float, anchor: float) -> float | None:
        """The first time later than a moment, None if there is none; ``anchor`` does not matter."""
        local = datetime.fromtimestamp(moment, self.zone).replace(tzinfo=None, second=0, fold=0)
        for candidate in self._from(local.replace(microsecond=0)):
            found = _moment(candidate, self.zone)
            if found is not None and found > moment:
                return found
        return None

    def _from(self, begin: datetime) -> Iterator[datetime]:
        """The local times from one on, those that do not exist included."""
        for year in self.years:
            if year < begin.year:
                continue
            for month in self.months:
                if (year, month) < (begin.year, begin.month):
                    continue
                for day in self.days.of(year, month):
                    if datetime(year, month, day).date() >= begin.date():
                        yield from self._of_day(datetime(year, month, day), begin)

    def _of_day(self, day: datetime, begin: datetime) -> Iterator[datetime]:
        for hour in self.hours:
            if day.date() == begin.date() and hour < begin.hour:
                continue
            for minute in self.minutes:
                candidate = day.replace(hour=hour, minute=minute)
                if candidate >= begin:
                    yield candidate


Expression = Rate | At | Cron


def parse(text: str, zone: tzinfo = timezone.utc) -> Expression:
    """Read a schedule expression.

    Args:
        text: It.
        zone: Whose clocks it goes by.

    Raises:
        ValueError: It is none; half a sentence that says why, and where.
    """
    if text.startswith("rate("):
        return _read_rate(text)
    if text.startswith("at("):
        return _read_at(text, zone)
    cron = _CRON.match(text)
    if cron is None:
        raise ValueError(
            f"{text!r} is no schedule: write rate(5 minutes), cron(0 9 ? * MON-FRI *) or "
            "at(2030-01-31T09:00:00)"
        )
    return _read_cron(text, cron[1].split(), zone)


def read_zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database.

    Raises:
        ValueError: There is none of this name here; half a sentence.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone that this machine knows; write one as Europe/Berlin "
            "(where none is known, install tzdata)"
        ) from None


def _read_rate(text: str) -> Rate:
    found = _RATE.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no rate: write rate(1 hour), rate(5 minutes), rate(2 days)")
    value, unit, plural = int(found[1]), found[2], found[3]
    if value == 0:
        raise ValueError(f"{text!r} has the rate 0; the fastest is rate(1 minute)")
    if (value == 1) == bool(plural):
        right = unit if value == 1 else f"{unit}s"
        raise ValueError(f"{text!r} is refused by AWS: write rate({value} {right})")
    if value * _SECONDS[unit] > 366_000 * _SECONDS["day"]:
        raise ValueError(f"{text!r} comes never again")
    return Rate(value * _SECONDS[unit])


def _read_at(text: str, zone: tzinfo) -> At:
    found = _AT.match(text)
    try:
        local = datetime.fromisoformat(found[1]) if found is not None else None
    except ValueError:
        local = None
    if local is None or not YEAR.least <= local.year <= YEAR.most:
        raise ValueError(f"{text!r} is no time: write at(yyyy-mm-ddThh:mm:ss), without a zone")
    if _moment(local, zone) is None:
        raise ValueError(f"{text!r} does not exist in {zone}: daylight saving leaves it out")
    return At(local, zone)


def _read_cron(text: str, fields: list[str], zone: tzinfo) -> Cron:
    if len(fields) != len(_CRON_FIELDS):
        names = " ".join(field.name for field in _CRON_FIELDS)
        raise ValueError(f"{text!r} has {len(fields)} fields, and must have 6: {names}")
    minutes, hours, of_month, month, of_week, year = fields
    try:
        cron = Cron(
            tuple(sorted(MINUTES.values(minutes))),
            tuple(sorted(HOURS.values(hours))),
            read_days(of_month, of_week),
            tuple(sorted(MONTH.values(month))),
            tuple(sorted(YEAR.values(year))),
            zone,
        )
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if not any(cron.days.of(year, month) for year in cron.years for month in cron.months):
        raise ValueError(f"{text!r} names days that no month has")
    return cron


def _moment(local: datetime, zone: tzinfo) -> float | None:
    """A local time as seconds since the epoch; None if the zone's clocks do not show it."""
    moment = local.replace(tzinfo=zone).astimezone(timezone.utc)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) != local:
        return None
    return (moment - _EPOCH) / timedelta(seconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
