"""The six fields of an EventBridge ``cron(...)`` expression: what stands in them and what it means.

Cron libraries do not speak this dialect (``?``, a year, ``W``, Sunday as 1), so it is read here.
What AWS leaves unsaid is as in Quartz, whose notation it is: a range may wrap around (``FRI-MON``),
and ``L``, ``W`` and ``#`` stand alone in their field.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?\Z", re.ASCII)
_NEAREST = re.compile(r"(\d{1,2})W\Z", re.ASCII)
_NTH = re.compile(r"(\w+)#([1-5])\Z", re.ASCII)
_LAST = re.compile(r"(\w+)L\Z", re.ASCII)


@dataclass(frozen=True)
class Field:
    """A field's name and bounds.

    Args:
        name: As AWS's documentation calls it.
        least: The lowest value.
        most: The highest.
        wildcards: Those that it takes.
        names: Words for the values, the first for the lowest.
    """

    name: str
    least: int
    most: int
    wildcards: str = ", - * /"
    names: Sequence[str] = ()

    def values(self, text: str) -> frozenset[int]:
        """The values that a list of numbers, ranges and steps stands for.

        Raises:
            ValueError: Half a sentence that says what is wrong, and where.
        """
        found: set[int] = set()
        for item in text.split(","):
            found.update(self._item(item))
        return frozenset(found)

    def number(self, text: str) -> int:
        """A value, by its number or name.

        Raises:
            ValueError: It is none.
        """
        if text.upper() in self.names:
            return self.least + self.names.index(text.upper())
        if not text.isdecimal() or not self.least <= int(text) <= self.most:
            known = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
            raise self.error(text, f"is not {self.least}-{self.most}{known}")
        return int(text)

    def error(self, text: str, problem: str) -> ValueError:
        """The complaint about a part of this field."""
        return ValueError(f"{text!r} in the {self.name} field {problem}")

    def _item(self, item: str) -> range | list[int]:
        found = _ITEM.match(item)
        if found is None or (found["step"] and "/" not in self.wildcards):
            raise self.error(item, f"is not understood; it takes numbers and {self.wildcards}")
        step = int(found["step"] or 1)
        if not 1 <= step <= self.most:
            raise self.error(item, f"has a step that is not 1-{self.most}")
        if found["first"] == "*":
            if found["last"]:
                raise self.error(item, "is a range from *; leave one of both out")
            return range(self.least, self.most + 1, step)
        first = self.number(found["first"])
        if found["last"] is None:
            return range(first, (self.most if found["step"] else first) + 1, step)
        last = self.number(found["last"])
        if first <= last:
            return range(first, last + 1, step)
        if self is YEAR:
            raise self.error(item, "is a range that ends before it begins")
        size = self.most - self.least + 1
        return [self.least + (n - self.least) % size for n in range(first, last + size + 1, step)]


MINUTES = Field("minutes", 0, 59)
HOURS = Field("hours", 0, 23)
DAY_OF_MONTH = Field("day-of-month", 1, 31, ", - * ? / L W")
MONTH = Field("month", 1, 12, names=_MONTHS)
DAY_OF_WEEK = Field("day-of-week", 1, 7, ", - * ? L #", names=_DAYS)
YEAR = Field("year", 1970, 2199)


@dataclass(frozen=True)
class Days:
    """Which days of a month a cron expression names; one kind of the following.

    Args:
        of_month: Days of the month.
        of_week: Days of the week, Sunday is 1.
        last: The last day of the month or, with ``weekday``, its last working day.
        nearest: The working day that is nearest to this day and in the same month.
        nth: With one day ``of_week``: its nth in the month; -1 is the last one.
        weekday: See ``last``.
    """

    of_month: frozenset[int] = frozenset()
    of_week: frozenset[int] = frozenset()
    last: bool = False
    nearest: int | None = None
    nth: int | None = None
    weekday: bool = False

    def of(self, year: int, month: int) -> list[int]:
        """The days of one month, in order."""
        first, length = calendar.monthrange(year, month)
        if self.last:
            return [_nearest_working_day(length, first, length) if self.weekday else length]
        if self.nearest is not None:
            # Quartz: the month that has no such day is left out.
            within = self.nearest <= length
            return [_nearest_working_day(self.nearest, first, length)] if within else []
        if self.of_month:
            return sorted(day for day in self.of_month if day <= length)
        # monthrange counts from Monday as 0, EventBridge from Sunday as 1.
        days = [d for d in range(1, length + 1) if (first + d) % 7 + 1 in self.of_week]
        if self.nth is None:
            return days
        return days[-1:] if self.nth == -1 else days[self.nth - 1 : self.nth]


def read_days(of_month: str, of_week: str) -> Days:
    """Both fields that name days, of which one is ``?``.

    Raises:
        ValueError: Half a sentence that says what is wrong, and where.
    """
    if (of_month == "?") == (of_week == "?"):
        both = "both are" if of_month == "?" else "neither is"
        raise ValueError(f"one of day-of-month and day-of-week must be ?, and {both}")
    return _of_week(of_week) if of_month == "?" else _of_month(of_month)


def _of_month(text: str) -> Days:
    if text in ("L", "LW"):
        return Days(last=True, weekday=text == "LW")
    nearest = _NEAREST.match(text)
    if nearest is not None:
        return Days(nearest=DAY_OF_MONTH.number(nearest[1]))
    _refuse_in_lists(DAY_OF_MONTH, text, "LW")
    return Days(of_month=DAY_OF_MONTH.values(text))


def _of_week(text: str) -> Days:
    if text == "L":  # the last day of the week
        return Days(of_week=frozenset({7}))
    if (nth := _NTH.match(text)) is not None:
        return Days(of_week=frozenset({DAY_OF_WEEK.number(nth[1])}), nth=int(nth[2]))
    if (last := _LAST.match(text)) is not None:
        return Days(of_week=frozenset({DAY_OF_WEEK.number(last[1])}), nth=-1)
    _refuse_in_lists(DAY_OF_WEEK, text, "L#")
    return Days(of_week=DAY_OF_WEEK.values(text))


def _refuse_in_lists(field: Field, text: str, wildcards: str) -> None:
    if "," not in text:
        return
    for item in text.split(","):
        if item.upper() not in field.names and any(mark in item for mark in wildcards):
            raise field.error(text, f"is a list with {item!r}, which must stand alone")


def _nearest_working_day(day: int, first: int, length: int) -> int:
    """The working day next to a day, without leaving the month that begins on weekday ``first``."""
    weekday = (first + day - 1) % 7
    if weekday == 5:  # Saturday
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day
