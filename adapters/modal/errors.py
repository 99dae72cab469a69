"""What kept a call of Modal's client from its answer, in one sentence: which, why, what to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bentofn.runtime.errors import UserError

_REMEDIES = {
    "AuthError": "set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or run `modal token new`",
    "PermissionDeniedError": "ask an owner of the Modal workspace for the right, or use the token "
    "of a member who has it",
    "ResourceExhaustedError": "wait a minute and try again, or raise the limit of the workspace",
    "ConnectionError": "check the network, and MODAL_SERVER_URL if it is set, and try again",
    "NotFoundError": "check that it exists in this Modal environment (MODAL_ENVIRONMENT)",
    "VersionError": "install another version of Modal's client",
    "InvalidError": "correct what it names",
    "ImageBuildError": "read the image's build log in Modal's dashboard, and try again",
}
_ANYHOW = "try again"
_TAKEN_UP = "what was made so far is taken up"


@dataclass
class Calls:
    """The calls that a client made.

    Args:
        failed: Those that failed: name and exception, the latest last.
    """

    failed: list[tuple[str, BaseException]] = field(default_factory=list)

    def culprit(self, error: BaseException) -> str:
        """The call whose failure an exception tells of; empty if none failed."""
        for name, cause in reversed(self.failed):
            if cause is error or str(getattr(cause, "message", "")) == message_of(error):
                return name
        return self.failed[-1][0] if self.failed else ""


@contextmanager
def explained(
    what: str, calls: Calls, *, remote: bool = False, has_written: bool = False
) -> Iterator[None]:
    """Say what a failing block was to do, which call failed, why, and what to do about it.

    Args:
        what: What it does, such as ``Deploying 'hello'``.
        calls: Those that its client makes.
        remote: Whether it runs code of a container, whose exceptions the client raises here.
        has_written: Whether it makes what the next deployment goes on from.

    Raises:
        UserError: In place of every exception of the client's, or of the container's.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not (remote or _is_of_client(error)):
            raise
        sentence = _sentence(what, error, calls.culprit(error))
        rest = f"; {_TAKEN_UP}" if has_written else ""
        raise UserError(f"{sentence}{rest}.") from error


def _sentence(what: str, error: BaseException, call: str) -> str:
    names = [each.__name__ for each in type(error).__mro__]
    remedy = next((_REMEDIES[name] for name in names if name in _REMEDIES), _ANYHOW)
    at = f" at Modal's {call}" if call else ""
    # What the client advises to newcomers stands in the remedy.
    why = message_of(error).partition(" If you ")[0] or type(error).__name__
    return f"{what} failed{at}: {why.rstrip('.')} ({type(error).__name__}); {remedy}"


def message_of(error: BaseException) -> str:
    """What an exception of the client's says, in a line."""
    said: Any = getattr(error, "_grpc_message", "") or str(error)
    return " ".join(str(said).split())


def _is_of_client(error: BaseException) -> bool:
    """Whether Modal's client, or what it speaks through, raised it."""
    origins = ("modal", "grpclib", "synchronicity", "aiohttp")
    module = type(error).__module__.partition(".")[0]
    unreachable = ConnectionError | asyncio.TimeoutError | socket.gaierror
    return module in origins or isinstance(error, unreachable)
