"""What Lambda's API needs of the platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.state import Deployment


class Functions(Protocol):
    """The functions that are deployed as Lambda's."""

    def names(self) -> Sequence[str]:
        """All, in order."""

    def live(self, name: str) -> Deployment | None:
        """What is deployed last, which is ``$LATEST``; None if there is no such function."""

    async def versions(self, name: str) -> Sequence[Deployment]:
        """All deployments of a function, from the first to the live one."""

    def throttled(self, name: str) -> None:
        """A call of one was refused before it came to an environment."""

    async def run(self, name: str, version: int | None, invocation: Invocation) -> InvocationResult:
        """Run one.

        Args:
            name: A function.
            version: The number of a deployment; None for the live one.
            invocation: What to run it with; its deadline is set once an environment has it.

        Raises:
            Refused: No environment takes it.
        """
