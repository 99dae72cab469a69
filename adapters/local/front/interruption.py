"""Ending the wait for an instance's answer: its time is over, or its instance is gone."""

from __future__ import annotations

import asyncio
import sys

from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.tickets import Refused, Ticket


class Interruption:
    """Cancels the task that made it when something happens under it.

    Args:
        revision: Whose timeout holds.
        ticket: Whose instance may end.
    """

    __slots__ = ("_refusal", "_revision", "_task", "_ticket")

    def __init__(self, revision: Revision, ticket: Ticket) -> None:
        self._task = asyncio.current_task()
        self._revision = revision
        self._ticket = ticket
        self._refusal: Refused | None = None
        revision.deadlines.add(self)
        ticket.interrupted.add_done_callback(self._interrupted)

    def fire(self) -> None:
        """The time is over; see :class:`bentofn.runtime.http.interrupt.Deadlines`."""
        if self._is_armed:
            timeout = self._revision.spec.settings.timeout
            self._revision.timed_out(self._ticket)
            self._cancel(
                Refused(504, f"The function did not answer within its timeout of {timeout:g} s.")
            )

    def close(self) -> None:
        """Nothing ends the task from now on."""
        if self._task is not None:
            self._task = None
            self._revision.deadlines.remove(self)
            self._ticket.interrupted.remove_done_callback(self._interrupted)

    def recover(self) -> Refused | None:
        """Say why the task was cancelled and let it go on; None if somebody else cancelled it."""
        if self._task is None or self._refusal is None:
            return None
        if sys.version_info >= (3, 11) and self._task.uncancel() > 0:
            return None
        return self._refusal

    @property
    def _is_armed(self) -> bool:
        return self._task is not None and self._refusal is None

    def _interrupted(self, interrupted: asyncio.Future[Refused]) -> None:
        if self._is_armed:
            self._cancel(interrupted.result())

    def _cancel(self, refusal: Refused) -> None:
        assert self._task is not None
        self._refusal = refusal
        self._task.cancel()
