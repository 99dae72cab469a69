"""Whether a process was started because a request waits for its first answer.

What such a process can do after that answer it should not do before. A process that is copied, or
restored, later is prepared ahead: all is done in it that its copies would have to do.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

_VARIABLE = "BENTOFN_ON_DEMAND"


def declare(environ: MutableMapping[str, str]) -> None:
    """Say so of this process, before its service is imported."""
    environ[_VARIABLE] = "1"


def is_awaited(environ: Mapping[str, str]) -> bool:
    """Whether a request waits for this process."""
    return _VARIABLE in environ
