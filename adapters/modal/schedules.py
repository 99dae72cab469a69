"""EventBridge's schedule expressions as Modal's ``Cron`` and ``Period``.

Source: https://modal.com/docs/guide/cron (five fields, no year, Sunday is 0) and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html (six, Sunday is 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentofn.adapters.local.core.schedules.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOURS,
    MINUTES,
    MONTH,
    Field,
)
from bentofn.adapters.schedule import Schedule

MOST_RETRIES = 10
"""Times that Modal tries a call again at most. Source: https://modal.com/docs/guide/retries"""

_RATE = re.compile(r"rate\((\d+)\s+(minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.*)\)")


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
    fields = [
        _listed(MINUTES, minute),
        _listed(HOURS, hour),
        _listed(DAY_OF_MONTH, of_month),
        _listed(MONTH, month),
        _listed(DAY_OF_WEEK, of_week, base=1),
    ]
    return Timing(cron=" ".join(fields), timezone=schedule.timezone)


def _listed(field: Field, text: str, base: int = 0) -> str:
    """A field's values one by one: cron has no common notation for ``0/15`` and ``FRI-MON``.

    Args:
        field: Which.
        text: As EventBridge has it.
        base: What EventBridge counts from where cron counts from 0.
    """
    if text in ("*", "?"):
        return "*"
    return ",".join(str(value - base) for value in sorted(field.values(text)))
