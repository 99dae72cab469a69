"""Where the services of a bento that have processes of their own are, as the environment says it.

The address is read when a connection is made: the copy of a process has an environment of its own.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

VARIABLE = "BENTOFN_SERVICES"
"""Variable with the sockets of the services, as :func:`variable` writes it."""

ROLE = "BENTOFN_SERVICE"
"""Variable with the name of the service that a process is for; unset for the entry's."""

HEADER = "x-bentofn-sibling"
"""Header of a request between services of one bento: it holds their secret."""

EXAMPLE_HEADER = "x-bentofn-example"
"""Header of a call that is made to answer an example; only a sibling's is believed."""

MEDIA_TYPE = "application/vnd.bentofn+pickle"
"""Content type of such a request and of its answer (:mod:`bentofn.runtime.proxy.wire`)."""


@dataclass(frozen=True)
class Addresses:
    """The sockets of a bento's services.

    Args:
        sockets: Name of a service to the path of its AF_UNIX socket.
        secret: What only the bento's processes know.
    """

    sockets: Mapping[str, str]
    secret: str

    def to_text(self) -> str:
        """The value of :data:`VARIABLE`."""
        return json.dumps({"secret": self.secret, "sockets": dict(self.sockets)}, sort_keys=True)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Addresses:
        """Those of this process; none where it has all services in itself."""
        raw = json.loads(environ.get(VARIABLE) or "{}")
        return cls(raw.get("sockets", {}), raw.get("secret", ""))


def names(environ: Mapping[str, str] = os.environ) -> Iterable[str]:
    """The services that have processes of their own."""
    return Addresses.read(environ).sockets


def own_secret(environ: Mapping[str, str] = os.environ) -> bytes:
    """What a request from a process of the same bento holds; nothing where none takes such ones."""
    return Addresses.read(environ).secret.encode() if ROLE in environ else b""


def take_secret(scope: MutableMapping[str, Any], secret: bytes) -> None:
    """Take the secret out of a connection's headers, before code of the user's sees them.

    Args:
        scope: The ASGI scope; :func:`is_sibling` knows it again.
        secret: Of :func:`own_secret`.
    """
    name = HEADER.encode()
    given = [value for key, value in scope["headers"] if key == name]
    if given:
        scope["headers"] = [each for each in scope["headers"] if each[0] != name]
        scope[_KNOWN] = hmac.compare_digest(secret, given[0])


def is_sibling(scope: Mapping[str, Any]) -> bool:
    """Whether a request comes from a process of the same bento, to one that takes such requests."""
    return bool(scope.get(_KNOWN, False))


_KNOWN = "bentofn.sibling"
"""Key of an ASGI scope, which no client can write."""
