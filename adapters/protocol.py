"""What an adapter is: the verbs of a target. The shapes that flow to and from it are here too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from bentofn.adapters.capabilities import Capabilities
from bentofn.adapters.load import Load
from bentofn.adapters.plan import Plan
from bentofn.adapters.settings import FunctionSettings, FunctionSpec, Snapshot
from bentofn.adapters.statuses import (
    Deployed,
    FunctionStatus,
    InstanceStatus,
    LogLine,
    Reply,
    Version,
)

__all__ = [
    "Adapter",
    "Capabilities",
    "Deployed",
    "FunctionSettings",
    "FunctionSpec",
    "FunctionStatus",
    "InstanceStatus",
    "Load",
    "LogLine",
    "Plan",
    "Progress",
    "Reply",
    "Snapshot",
    "Version",
]

Progress = Callable[[str], None]
"""Called with one line about each step, for a terminal."""


class Adapter(Protocol):
    """Takes bentos to one target. Made with the home: ``LocalAdapter(home)``.

    Making one reaches nothing and imports no SDK of the target's. Every method raises ``UserError``
    with one sentence where the target refuses or cannot be reached: which call, why, what to do.
    What :mod:`bentofn.testing.adapter_suite` asks of an adapter is part of this protocol.
    """

    @property
    def name(self) -> str:
        """The target's name, as on the command line."""

    @property
    def capabilities(self) -> Capabilities:
        """What the target does with each field of the spec."""

    def check_installed(self) -> None:
        """Refuse where a package that the target needs is not installed, before anything is built;
        the sentence says which, and how it is installed."""

    def plan(self, spec: FunctionSpec, *, load: Load | None = None) -> Plan:
        """What an apply of the spec would do; it changes nothing anywhere.

        Args:
            spec: The function.
            load: What the price is for; None for no price.
        """

    def apply(self, spec: FunctionSpec, progress: Progress, *, wait: bool = True) -> Deployed:
        """Make the target agree with the spec; applying twice changes nothing.

        The former version serves until the new one is ready, and goes on if that fails. What the
        plan refuses is refused with the same sentence before anything is changed. One that was
        interrupted is resumed or undone by the next.

        Args:
            spec: The function.
            progress: Told about each step.
            wait: Whether to return only when fast starts are prepared too.
        """

    def status(self, name: str | None = None) -> list[FunctionStatus]:
        """One function's state, or all functions' by name."""

    def invoke(self, name: str, body: bytes, *, api: str | None = None) -> Reply:
        """Send a JSON body to an endpoint (needed only where there is more than one)."""

    def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        since: float = 0.0,
        tail: int | None = None,
        request: str = "",
    ) -> Iterator[LogLine]:
        """Lines in order of time.

        Args:
            name: The function.
            follow: Wait for more lines at the end.
            since: Only lines later than this, in seconds since the epoch.
            tail: Only this many of the lines that exist.
            request: Only those of the request with this id.
        """

    def versions(self, name: str) -> list[Version]:
        """The versions that the target still has, the first one first."""

    def rollback(self, name: str, version: int | None, progress: Progress) -> Deployed:
        """Give all requests to an older version.

        Args:
            name: The function.
            version: Its number; None for the one before the live one.
            progress: Told about each step.
        """

    def promote(self, name: str, version: int, weight: float, progress: Progress) -> Deployed:
        """Give a share of the requests to a version.

        Args:
            name: The function.
            version: Its number.
            weight: Its share, over 0 up to 1; the rest stays with the version that had most.
            progress: Told about each step.
        """

    def destroy(self, name: str) -> None:
        """Remove the function and all that was made for it, what a failed apply left too; the
        bento stays in the store."""
