"""Who signed a request that has come in."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiohttp import web

from bentofn.adapters.local.lambda_.api.signature import Signable, verify


def signer_of(request: web.BaseRequest, body: bytes, secrets: Mapping[str, str]) -> str:
    """The access key that a request is signed with.

    Args:
        request: It.
        body: Its whole body.
        secrets: Access key to secret.

    Raises:
        Unsigned: It is not signed, too old, or signed with another secret.
    """
    headers: dict[str, str] = {}
    for key, value in request.headers.items():
        lower = key.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    whole, _, query = request.raw_path.partition("?")
    return verify(Signable(request.method, whole, query, headers, body), secrets, time.time())
