"""Who may read the console: pages of its own, on a name that is this machine's.

A page of another site could have a browser ask for it, and a name of that site may be made to lead
here (DNS rebinding); neither gets an answer. Functions answer whoever they are deployed for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""The page's Content-Security-Policy: nothing from elsewhere, nothing inline, no frame around it.
Source: https://www.w3.org/TR/CSP3/"""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer of the console's."""


def why_not(headers: Mapping[str, str]) -> str:
    """Why a request gets nothing; empty if it may.

    Args:
        headers: The request's.
    """
    host = headers.get("Host", "")
    if not is_local(host):
        return "The console answers under a name of this machine only, such as localhost."
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return "The console answers no page of another site."
    # Browsers say where a request comes from even if it has no Origin (Fetch Metadata). Following a
    # link is no harm: the page itself says nothing, and no other page can read it or frame it.
    follows = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == (
        "document"
    )
    if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and not follows:
        return "The console answers no page of another site."
    return ""


def is_local(host: str) -> bool:
    """Whether a ``Host`` header names this machine: a loopback address, or localhost (RFC 6761)."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
