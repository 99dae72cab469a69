"""The control API's part for tests, under ``/_bentofn/testing/``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bentofn.adapters.local.journal import wire
from bentofn.adapters.local.testing.faults import Fault, Faults
from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from bentofn.adapters.local.platform import Platform

JOURNAL_SIZE = 200_000
"""Events that are kept for tests: a long one's, at most some 50 MB."""


class TestingControl:
    """Answers what a test asks for.

    Args:
        platform: It was started for tests.
        faults: What goes wrong on it.
    """

    __test__ = False

    def __init__(self, platform: Platform, faults: Faults) -> None:
        self._platform = platform
        self._faults = faults

    async def answer(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Do it.

        Args:
            action: The path below the prefix.
            asked: The body: the function, and more where the action needs it.

        Raises:
            UserError: It cannot be done.
        """
        name = asked["function"]
        match action:
            case "journal":
                return self._journal(name, asked["after"])
            case "faults":
                self._platform.get(name)
                times = math.inf if asked["times"] is None else asked["times"]
                self._faults.of(name).add(Fault(asked["kind"], times, asked["seconds"]))
            case "heal":
                self._faults.of(name).heal()
            case "recycle":
                live = self._platform.get(name).live
                if live is not None:
                    await live.recycle()
            case _:
                raise UserError(f"There is no {action} for tests.")
        return {}

    def _journal(self, function: str, after: int) -> dict[str, Any]:
        journal = self._platform.journal
        events = journal.recent(after)
        return {
            "count": journal.count,
            "missed": journal.count - after - len(events),
            "events": [wire.to_json(each) for each in events if each.function == function],
        }
