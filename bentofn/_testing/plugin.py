"""The fixtures. Every run of pytest loads this module, so it imports nothing else of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bentofn._testing.function import DeployedFunction
    from bentofn._testing.platform import LocalPlatform


@pytest.fixture(scope="session")
def bentofn_platform() -> Iterator[LocalPlatform]:
    """A local platform of these tests' own, whose time passes when a test says so."""
    from bentofn._testing.platform import platform

    with platform() as running:
        yield running


@pytest.fixture
def deploy(bentofn_platform: LocalPlatform) -> Iterator[Callable[..., DeployedFunction]]:
    """Deploys a function for one test; see ``LocalPlatform.deployed`` for its arguments."""
    with contextlib.ExitStack() as stack:

        def deploy(*arguments: Any, **settings: Any) -> DeployedFunction:
            return stack.enter_context(bentofn_platform.deployed(*arguments, **settings))

        yield deploy
