"""The instances' lives in the journal."""

from __future__ import annotations

from typing import Literal

from bentofn.adapters.local.journal.events import InstanceChanged, InstanceState
from bentofn.adapters.local.journal.journal import Journal

_LONGEST_REASON = 512
"""Letters of a reason that are told; it may repeat what an instance wrote."""


class Lives:
    """Tells the journal of a revision's instances.

    Args:
        journal: The journal.
        function: Whose instances they are.
    """

    def __init__(self, journal: Journal, function: str) -> None:
        self._journal = journal
        self._function = function
        self._kinds: dict[str, str] = {}
        self._runs_on: dict[int, str] = {}
        self._in_flight: dict[str, int] = {}

    def starting(self, instance: str, kind: str) -> None:
        """One is started, most likely in this way."""
        self._kinds[instance] = kind
        self._tell(instance, "restoring" if kind == "restored" else "starting")

    def ready(self, instance: str, kind: str, took: float) -> None:
        """It can take requests.

        Args:
            instance: Which.
            kind: How it was started.
            took: Seconds from its start.
        """
        self._kinds[instance] = kind
        self._in_flight[instance] = 0
        self._tell(instance, "ready", took)

    def assigned(self, request: int, instance: str) -> None:
        """It gets a request, by the pool's number."""
        self._runs_on[request] = instance
        self._in_flight[instance] += 1
        if self._in_flight[instance] == 1:
            self._tell(instance, "busy")

    def released(self, request: int) -> None:
        """A request is over, whether or not an instance had it."""
        instance = self._runs_on.pop(request, "")
        if instance in self._in_flight:
            self._in_flight[instance] -= 1
            if not self._in_flight[instance]:
                self._tell(instance, "idle")

    def ending(self, instance: str, state: Literal["parking", "stopping"]) -> None:
        """It gets no more requests."""
        self._in_flight.pop(instance, None)
        self._tell(instance, state)

    def gone(self, instance: str, reason: str) -> None:
        """It has ended, or did not start."""
        self._in_flight.pop(instance, None)
        self._tell(instance, "gone", reason=reason)
        del self._kinds[instance]

    def _tell(
        self, instance: str, state: InstanceState, took: float | None = None, reason: str = ""
    ) -> None:
        now, kind = self._journal.now(), self._kinds[instance]
        self._journal.publish(
            InstanceChanged(
                now, self._function, instance, state, kind, took, reason[:_LONGEST_REASON]
            )
        )
