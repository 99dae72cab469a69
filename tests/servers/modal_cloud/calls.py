"""Calls of functions: their inputs wait for containers, which send outputs and streams."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from modal_cloud.containers import Container
from modal_cloud.state import State

_PATIENCE = 20.0


@dataclass
class Call:
    """A call of a function."""

    call_id: str
    function_id: str
    input_id: str
    input: Any
    outputs: list[Any] = field(default_factory=list)
    data_in: list[Any] = field(default_factory=list)
    data_out: list[Any] = field(default_factory=list)


class Calls:
    """The calls of clients, and those of containers.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def FunctionMap(self, request: Any) -> Any:
        item = request.pipelined_inputs[0]
        call = await put_call(self._state, request.function_id, item.input)
        accepted = api_pb2.FunctionPutInputsResponseItem(idx=item.idx, input_id=call.input_id)
        return api_pb2.FunctionMapResponse(
            function_call_id=call.call_id,
            pipelined_inputs=[accepted],
            retry_policy=api_pb2.FunctionRetryPolicy(),
        )

    async def FunctionGetOutputs(self, request: Any) -> Any:
        call = self._state.calls[request.function_call_id]
        await self._wait(lambda: bool(call.outputs), request.timeout)
        return api_pb2.FunctionGetOutputsResponse(
            outputs=call.outputs[:1], num_unfinished_inputs=0 if call.outputs else 1
        )

    async def FunctionCallGetDataOut(self, request: Any) -> Any:
        async for chunk in self._chunks(request, "data_out"):
            yield chunk

    async def FunctionCallGetDataIn(self, request: Any) -> Any:
        async for chunk in self._chunks(request, "data_in"):
            yield chunk

    async def FunctionCallPutDataOut(self, request: Any) -> Any:
        call = self._state.calls[request.function_call_id]
        call.data_out.extend(request.data_chunks)
        await self._tell()
        return Empty()

    async def FunctionGetInputs(self, request: Any) -> Any:
        queue = self._state.queues.setdefault(request.function_id, [])
        container = self._state.containers.get(request.function_id)
        await self._wait(lambda: bool(queue) or container is None or container.stops, _PATIENCE)
        if container is None or container.stops:
            return api_pb2.FunctionGetInputsResponse(
                inputs=[api_pb2.FunctionGetInputsItem(kill_switch=True)]
            )
        size = max(1, request.batch_max_size)
        if request.batch_max_size:
            await self._wait(lambda: len(queue) >= size, request.batch_linger_ms / 1000)
        taken, queue[:] = queue[:size], queue[size:]
        items = [
            api_pb2.FunctionGetInputsItem(
                input_id=call.input_id, input=call.input, function_call_id=call.call_id
            )
            for call in taken
        ]
        return api_pb2.FunctionGetInputsResponse(inputs=items)

    async def FunctionPutOutputs(self, request: Any) -> Any:
        by_input = {call.input_id: call for call in self._state.calls.values()}
        for item in request.outputs:
            by_input[item.input_id].outputs.append(
                api_pb2.FunctionGetOutputsItem(
                    result=item.result, input_id=item.input_id, data_format=item.data_format
                )
            )
        await self._tell()
        return Empty()

    async def FunctionGetDynamicConcurrency(self, request: Any) -> Any:
        return api_pb2.FunctionGetDynamicConcurrencyResponse(concurrency=request.max_concurrency)

    async def ContainerHello(self, request: Any) -> Any:
        return Empty()

    async def ContainerHeartbeat(self, request: Any) -> Any:
        return api_pb2.ContainerHeartbeatResponse()

    async def ContainerCheckpoint(self, request: Any) -> Any:
        container = next(
            each for each in self._state.containers.values()
            if each.checkpoint_id == request.checkpoint_id
        )  # fmt: skip
        container.snapshot_taken()
        return Empty()

    async def TaskResult(self, request: Any) -> Any:
        """A container did not start: every call that waits for one fails."""
        for call in self._state.calls.values():
            if not call.outputs:
                call.outputs.append(api_pb2.FunctionGetOutputsItem(result=request.result))
        await self._tell()
        return Empty()

    async def _chunks(self, request: Any, which: str) -> Any:
        call = self._state.calls[request.function_call_id]
        chunks, sent = getattr(call, which), [request.last_index]
        while True:
            await self._wait(lambda: len(chunks) > sent[0] or bool(call.outputs), _PATIENCE)
            for chunk in chunks[sent[0] :]:
                sent[0] = chunk.index
                yield chunk
            if call.outputs and len(chunks) <= sent[0]:
                return

    async def _wait(self, ready: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        async with self._state.changed:
            while not ready() and (left := deadline - time.monotonic()) > 0:
                try:
                    await asyncio.wait_for(self._state.changed.wait(), left)
                except asyncio.TimeoutError:
                    return

    async def _tell(self) -> None:
        async with self._state.changed:
            self._state.changed.notify_all()


async def put_call(state: State, function_id: str, given: Any, data_in: Any = ()) -> Call:
    """Have a function called, and see to it that a container of it runs."""
    call = Call(state.new_id("fc"), function_id, state.new_id("in"), given, data_in=list(data_in))
    state.calls[call.call_id] = call
    state.queues.setdefault(function_id, []).append(call)
    running = state.containers.get(function_id)
    if running is None or running.ended:
        state.containers[function_id] = await Container.start(state, function_id)
    async with state.changed:
        state.changed.notify_all()
    return call
