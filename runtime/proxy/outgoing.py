"""What a request from one service of a bento to another says of where it comes from."""

from __future__ import annotations

from bentofn.runtime.context import current_context
from bentofn.runtime.proxy.addresses import HEADER, Addresses
from bentofn.runtime.trace_context import trace_headers

_REQUEST_ID = "x-bentofn-request-id"


def own_headers() -> dict[str, str]:
    """The bento's secret, and the id and the trace of the request that is answered, if one is."""
    context = current_context.get(None)
    asked = {_REQUEST_ID: context.request_id} if context is not None and context.request_id else {}
    return {**asked, **trace_headers(), HEADER: Addresses.read().secret}
