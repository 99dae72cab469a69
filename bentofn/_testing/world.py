"""What the conformance suite of adapters needs of the backend behind one."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from bentofn.adapters.protocol import Adapter, FunctionSpec
from bentofn.packager.home import Home

Failure = Literal["denied", "throttled", "cut", "lost"]
"""The backend says no; says that it has too much to do, once; is not reached any more from this
call on, as when the process is killed; or does what it was asked, and is not reached any more."""


class InterruptedWorld(BaseException):
    """What an adapter meets from the call on at which it is cut off: nothing may catch it."""


@dataclass
class Failing:
    """What came of a failure that was arranged.

    Args:
        call: Which call fails, in words; empty as long as it was not reached.
    """

    call: str = ""


class World(abc.ABC):
    """A backend, real or of the tests' own, and what is deployed there.

    Attributes:
        home: The home that its adapters are made with.
        failures: Which of them :meth:`failing` can arrange.
        stride: Every so-many-th call meets each failure, the first failure from the first call on,
            the second from the second on: with as many as there are failures, each call meets one,
            in a fraction of the time; with 1 it meets all of them.
        answers: Whether what is deployed there runs, so that it can be invoked.
    """

    home: Home
    failures: tuple[Failure, ...] = ("denied", "cut")
    stride: int = 1
    answers: bool = True

    @abc.abstractmethod
    def adapter(self) -> Adapter:
        """A new adapter, as another process would make it."""

    @abc.abstractmethod
    def spec(self, revision: int) -> FunctionSpec:
        """The function, always by the same name.

        Args:
            revision: From 1; each differs in its bento or its variables, and answers its number
                to ``{}``.
        """

    @abc.abstractmethod
    def live(self) -> int | None:
        """The revision that gets the requests now, asked of the backend and not of an adapter; None
        where nothing is deployed."""

    @abc.abstractmethod
    def resources(self) -> Mapping[str, object]:
        """All that is at the backend, by name."""

    @abc.abstractmethod
    def writes(self) -> int:
        """How many calls came so far that may change something."""

    @abc.abstractmethod
    def failing(self, call: int, failure: Failure) -> AbstractContextManager[Failing]:
        """Have a call fail while the block runs.

        Args:
            call: Which of those that come in the block, from 0.
            failure: How. After ``cut`` and ``lost`` the block meets :class:`InterruptedWorld`.
        """

    def report(self, line: str) -> None:  # noqa: B027 - most need none
        """Told about each step of an apply."""
