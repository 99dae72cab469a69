"""Handlers, which are methods by the names of the calls, as a service on Modal's protobufs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from grpclib import GRPCError, Status
from modal_proto.api_grpc import ModalClientBase

from modal_cloud.faults import Faults


def servicer(handlers: Sequence[object], faults: Faults) -> ModalClientBase:
    """The service; what no handler has is answered with ``UNIMPLEMENTED``.

    Args:
        handlers: Objects whose methods take a request and give, or yield, an answer.
        faults: What each call meets.
    """
    methods = {
        name: _method(name, next((h for h in handlers if hasattr(h, name)), None), faults)
        for name in ModalClientBase.__abstractmethods__
    }
    service: ModalClientBase = type("Servicer", (ModalClientBase,), methods)()
    return service


def _method(name: str, handler: object | None, faults: Faults) -> Any:
    done: dict[str, Any] = {}

    async def method(self: Any, stream: Any) -> None:
        request = await stream.recv_message()
        if handler is None:
            raise GRPCError(Status.UNIMPLEMENTED, f"this cloud has no {name}")
        faults.clients.add(str(stream.metadata.get("x-modal-client-version", "")))
        async with faults.meet(name, request):
            # What a client tries again has the same key, and is done once.
            key = str(stream.metadata.get("x-idempotency-key", ""))
            if key not in done:
                answer = getattr(handler, name)(request)
                if inspect.isasyncgen(answer):
                    async for message in answer:
                        await stream.send_message(message)
                    return
                done[key] = await answer
            message = done[key] if key else done.pop(key)
        await stream.send_message(message)

    return method
