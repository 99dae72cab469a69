"""EventBridge's schedule expressions as Modal's ``Cron`` and ``Period``.

Source: https://modal.com/docs/guide/cron (five fields, no year, Sunday is 0) and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html (six, Sunday is 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentofn.adapters.schedule import Schedule

MOST_RETRIES = 10
"""Times that Modal tries a call again at most. Source: https://modal.com/docs/guide/retries"""

_RATE = re.compile(r"rate\((\d+)\s+(minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.*)\)")
_OF_WEEK = re.compile(r"[1-7]")


@dataclass(frozen=True)
class Timing:
    """When Modal calls a function.

    Args:
        cron: Five fields; empty for a period.
        timezone: Whose clocks the fields go by.
        seconds: Of the period.
    """

    cron: str = ""
    timezone: str = "UTC"
    seconds: int = 0


class NotOnModal(ValueError):  # noqa: N818 - it is no error of the program's
    """A schedule that Modal has no word for; half a sentence that says why."""


def timing(schedule: Schedule) -> Timing:
    """When Modal is to call a function.

    Args:
        schedule: It, with an expression that is one of EventBridge's.

    Raises:
        NotOnModal: Modal has no such schedule.
    """
    if schedule.start is not None or schedule.end is not None:
        raise NotOnModal("Modal's schedules have no first and last day")
    if (rate := _RATE.fullmatch(schedule.expression)) is not None:
        number, unit = int(rate[1]), rate[2]
        return Timing(seconds=number * {"minute": 60, "hour": 3600, "day": 86_400}[unit])
    cron = _CRON.fullmatch(schedule.expression)
    if cron is None:
        raise NotOnModal("Modal has no schedules that come once")
    minute, hour, of_month, month, of_week, year = cron[1].split()
    if year != "*":
        raise NotOnModal(f"Modal's cron has no year ({year})")
    if re.search(r"[LW#]", of_month + of_week.upper().replace("WED", "")):
        raise NotOnModal("Modal's cron has no L, W and #")
    fields = [minute, hour, of_month, month, _days_of_week(of_week)]
    return Timing(cron=" ".join(fields).replace("?", "*"), timezone=schedule.timezone)


def _days_of_week(field: str) -> str:
    """From 1 to 7, of which 1 is Sunday, to 0 to 6; names and what follows a ``/`` stay."""
    parts = []
    for part in field.split(","):
        days, slash, step = part.partition("/")
        parts.append(_OF_WEEK.sub(lambda found: str(int(found[0]) - 1), days) + slash + step)
    return ",".join(parts)
