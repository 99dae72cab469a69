"""What a cloud answers over HTTP: uploads, content, and the endpoints of apps."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web
from modal_proto import api_pb2

from modal_cloud.calls import put_call
from modal_cloud.state import State

_BLOCK = 8 << 20


class Doors:
    """The HTTP side of a cloud.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Open it; gives its address."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_put("/upload/{blob}", self._upload)
        app.router.add_get("/content/{digest}/{start}", self._content)
        app.router.add_route("*", "/web/{app}/{method}{path:.*}", self._web)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close it."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def _upload(self, request: web.Request) -> web.Response:
        content = await request.read()
        self._state.uploads[request.match_info["blob"]] = content
        return web.Response(headers={"ETag": f'"{hashlib.md5(content).hexdigest()}"'})

    async def _content(self, request: web.Request) -> web.Response:
        start = int(request.match_info["start"])
        content = self._state.content[request.match_info["digest"]]
        return web.Response(body=content[start : start + _BLOCK])

    async def _web(self, request: web.Request) -> web.StreamResponse:
        """Send a request to the app's container, as Modal's proxy does."""
        from modal._serialization import (
            deserialize_data_format,
            serialize,
            serialize_data_format,
        )

        found = self._endpoint(request.match_info["app"], request.match_info["method"])
        if found is None:
            return web.Response(status=404, text="modal-http: invalid function call")
        function_id, method, config = found
        if config.requires_proxy_auth and "Modal-Key" not in request.headers:
            return web.Response(status=401, text="modal-http: missing credentials")
        scope = _scope(request)
        body = {"type": "http.request", "body": await request.read(), "more_body": False}
        chunk = api_pb2.DataChunk(
            data_format=api_pb2.DATA_FORMAT_ASGI,
            data=serialize_data_format(body, api_pb2.DATA_FORMAT_ASGI),
            index=1,
        )
        given = api_pb2.FunctionInput(
            args=serialize(((scope,), {})),
            data_format=api_pb2.DATA_FORMAT_PICKLE,
            method_name=method,
        )
        call = await put_call(self._state, function_id, given, [chunk])
        answer: web.StreamResponse | None = None
        sent = 0
        while True:
            async with self._state.changed:
                while len(call.data_out) <= sent and not call.outputs:
                    await self._state.changed.wait()
            for each in call.data_out[sent:]:
                sent += 1
                message: Any = deserialize_data_format(each.data, each.data_format, None)
                if message["type"] == "http.response.start":
                    answer = web.StreamResponse(status=message["status"])
                    for name, value in message.get("headers", ()):
                        if name.lower() != b"content-length":
                            answer.headers.add(name.decode(), value.decode())
                    await answer.prepare(request)
                elif message["type"] == "http.response.body" and answer is not None:
                    await answer.write(message.get("body", b""))
            if call.outputs and len(call.data_out) <= sent:
                break
        if answer is None:
            why = call.outputs[0].result.exception
            return web.Response(status=500, text=f"modal-http: {why}")
        await answer.write_eof()
        return answer

    def _endpoint(self, name: str, method: str) -> tuple[str, str, Any] | None:
        app = self._state.app_named(name)
        if app is None or app.live is None:
            return None
        for function_name, function_id in app.live.function_ids.items():
            definition = self._state.definition(app, function_name)
            if method in definition.method_definitions:
                config = definition.method_definitions[method].webhook_config
                return function_id, method, config
            if function_name == method and definition.webhook_config.type:
                return function_id, "", definition.webhook_config
        return None


def _scope(request: web.Request) -> dict[str, Any]:
    path = request.match_info["path"] or "/"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": request.query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 443),
    }
