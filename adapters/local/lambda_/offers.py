"""An invocation as a runtime is told of it."""

from __future__ import annotations

import os
import time

from bentofn.adapters.local.lambda_.invocation import Invocation
from bentofn.adapters.local.lambda_.messages import Headers, Offer


def offer_of(invocation: Invocation, arn: str) -> Offer:
    """The headers and body of the answer to ``/next``.

    The content type is exactly one word: with a charset awslambdaric gives the handler a string,
    and without a type it crashes.

    Args:
        invocation: The invocation.
        arn: The function's, without a qualifier.
    """
    qualified = f"{arn}:{invocation.qualifier}" if invocation.qualifier else arn
    optional = {
        "Lambda-Runtime-Client-Context": invocation.client_context,
        "Lambda-Runtime-Cognito-Identity": invocation.identity,
    }
    headers: Headers = (
        ("Content-Type", b"application/json"),
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id.encode()),
        ("Lambda-Runtime-Deadline-Ms", b"%d" % (invocation.deadline * 1000)),
        ("Lambda-Runtime-Invoked-Function-Arn", qualified.encode()),
        ("Lambda-Runtime-Trace-Id", _one_line((invocation.trace_id or new_trace()).encode())),
        *((name, _one_line(value)) for name, value in optional.items() if value is not None),
    )
    streams = invocation.stream is not None
    return Offer(invocation.request_id, headers, invocation.event, streams)


def new_trace() -> str:
    """A trace header of an invocation that is not traced.

    Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    root = f"1-{int(time.time()):08x}-{os.urandom(12).hex()}"
    return f"Root={root};Parent={os.urandom(8).hex()};Sampled=0"


def _one_line(value: bytes) -> bytes:
    """A header's value; line ends in JSON are only space."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ")
