"""One request sent to two servers, and where their answers differ."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

HEADERS = (
    "allow",
    "content-disposition",
    "content-type",
    "location",
    "set-cookie",
    "x-from-service",
)
"""Headers of answers that are compared."""

BOUNDARY = "bentofn-conformance"
TIMEOUT = 60.0


@dataclass(frozen=True)
class Call:
    """A request.

    Args:
        name: What its case's table calls it.
        path: With the slash, and the query if there is one.
        body: The body.
        headers: Names and values.
        method: The HTTP method.
        also: Further headers of the answer that are compared.
    """

    name: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    also: Sequence[str] = ()


def as_json(name: str, path: str, value: Any, **headers: str) -> Call:
    """A call with a JSON body."""
    return raw(name, path, json.dumps(value).encode(), "application/json", **headers)


def raw(name: str, path: str, body: bytes, content_type: str, **headers: str) -> Call:
    """A call with a body of any type."""
    return Call(name, path, body, {"Content-Type": content_type, **headers})


def get(name: str, path: str, method: str = "GET", also: Sequence[str] = ()) -> Call:
    """A call without a body."""
    return Call(name, path, method=method, also=also)


@dataclass(frozen=True)
class Part:
    """A field of a multipart form.

    Args:
        name: The field's.
        content: Its bytes.
        filename: Where it is a file.
        content_type: Where it has one.
    """

    name: str
    content: bytes
    filename: str | None = None
    content_type: str | None = None


def form(name: str, path: str, *parts: Part) -> Call:
    """A call with a multipart form."""
    body = b""
    for part in parts:
        disposition = f'form-data; name="{part.name}"'
        if part.filename is not None:
            disposition += f'; filename="{part.filename}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n"
        if part.content_type is not None:
            head += f"Content-Type: {part.content_type}\r\n"
        body += head.encode() + b"\r\n" + part.content + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return raw(name, path, body, f"multipart/form-data; boundary={BOUNDARY}")


@dataclass(frozen=True)
class Seen:
    """An answer.

    Args:
        status: 0 where the connection ended without one.
        headers: Those that are compared.
        body: JSON where it is JSON, text where it is text, else its length and first bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: Any

    def parts(self) -> dict[str, Any]:
        """What is compared, by name."""
        return {"status": self.status, **self.headers, "body": self.body}


def send(port: int, call: Call) -> Seen:
    """Send a call to a server of this machine."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        try:
            connection.request(call.method, call.path, call.body or None, dict(call.headers))
            response = connection.getresponse()
            found = response.headers
            body = response.read()
        except (http.client.HTTPException, ConnectionError):
            return Seen(0, {}, None)
        headers = {
            name: ", ".join(found.get_all(name, ()))
            for name in (*HEADERS, *call.also)
            if name in found
        }
        if "allow" in headers:  # Starlette writes a set, in any order
            headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
        return Seen(response.status, headers, _readable(body))


def differences(one: Seen, other: Seen) -> dict[str, tuple[Any, Any]]:
    """The parts in which two answers differ."""
    mine, yours = one.parts(), other.parts()
    return {
        name: (mine.get(name), yours.get(name))
        for name in {**mine, **yours}
        if mine.get(name) != yours.get(name)
    }


class Named(Protocol):
    """A call, or several of them."""

    @property
    def name(self) -> str:
        """What its case's table calls it."""


def names(calls: Sequence[Named]) -> list[str]:
    """The names of calls, which must differ.

    Raises:
        ValueError: Two have one name.
    """
    found = [call.name for call in calls]
    twice = {name for name in found if found.count(name) > 1}
    if twice:
        raise ValueError(f"two calls are called {', '.join(sorted(twice))}")
    return found


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"{len(body)} bytes: {body[:64].hex()}"
