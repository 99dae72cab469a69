"""What a method says about its response through the context: status, headers and cookies."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie

from bentofn.runtime.context import Cookie, ResponseContext
from bentofn.runtime.http.exchange import Header


@dataclass(frozen=True)
class Said:
    """What a method said about its response.

    Args:
        status: HTTP's.
        media_type: That of the body, instead of the output's own.
        headers: Further headers and cookies.
    """

    status: int = 200
    media_type: str | None = None
    headers: tuple[Header, ...] = ()


NOTHING = Said()


def said_of(response: ResponseContext) -> Said:
    """What the method said through its context's response."""
    given = [each for each in response.headers.raw if each[0] != b"content-type"]
    cookies = [(b"set-cookie", _cookie(each)) for each in response.cookies]
    return Said(response.status_code, response.headers.get("content-type"), (*given, *cookies))


def _cookie(cookie: Cookie) -> bytes:
    jar: SimpleCookie = SimpleCookie()
    jar[cookie.key] = cookie.value
    morsel = jar[cookie.key]
    morsel["path"] = cookie.path
    morsel["samesite"] = cookie.samesite
    if cookie.max_age is not None:
        morsel["max-age"] = str(cookie.max_age)
    if cookie.expires is not None:
        morsel["expires"] = str(cookie.expires)
    if cookie.domain is not None:
        morsel["domain"] = cookie.domain
    if cookie.secure:
        morsel["secure"] = True
    if cookie.httponly:
        morsel["httponly"] = True
    return morsel.OutputString().encode("latin-1")
