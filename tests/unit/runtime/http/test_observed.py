from __future__ import annotations

import logging
import re
from typing import Any

import pytest

import bentofn
from bentofn.runtime.http.exchange import Message
from bentofn.runtime.lifecycle import Prepared

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Echo:
    @bentofn.api
    def echo(self, text: str) -> str:
        return text


async def post(config: dict[str, Any], path: str = "/echo", traceparent: str = "") -> list[Message]:
    """Post to a service with a configuration; what it sends."""
    service = bentofn.service(**config)(Echo)
    app = service.to_asgi()
    served = Prepared(service, app.instance, app).served
    await app.start()
    body = b'{"text": "hi"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"14")]
    if traceparent:
        headers.append((b"traceparent", traceparent.encode()))
    scope = {
        "type": "http",
        "method": "GET" if path == "/livez" else "POST",
        "scheme": "http",
        "path": path,
        "headers": headers,
        "client": ("127.0.0.1", 7),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    await served(scope, receive, send)
    await app.stop()
    return sent


@pytest.fixture
def access_log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("bentofn.access")
    monkeypatch.setattr(logger, "handlers", [Keep()])
    monkeypatch.setattr(logger, "level", logging.INFO)
    return lines


async def test_a_line_for_each_answer(access_log: list[str]) -> None:
    await post({"logging": {"access": {"enabled": True}}})
    [line] = access_log
    assert re.fullmatch(
        r"127\.0\.0\.1:7 "
        r"\(scheme=http,method=POST,path=/echo,type=application/json,length=14\) "
        r"\(status=200,type=text/plain; charset=utf-8,length=2\) \d+\.\d{3}ms",
        line,
    )


async def test_what_a_line_tells_can_be_chosen(access_log: list[str]) -> None:
    access = {"response_content_length": False, "request_content_type": False, "skip_paths": ["/x"]}
    await post({"logging": {"access": access}})
    assert "path=/echo,length=14) (status=200,type=text/plain; charset=utf-8)" in access_log[0]


async def test_a_caller_writes_no_lines_of_its_own(access_log: list[str]) -> None:
    await post({"logging": {"access": {}}}, "/echo\n127.0.0.1:1 (forged)\x1b[2J\x85é")
    assert r"path=/echo\n127.0.0.1:1 (forged)\x1b[2J\x85é,type" in access_log[0]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "/echo"),
        ({"logging": {"access": {"enabled": False}}}, "/echo"),
        ({"logging": {"access": {}}}, "/livez"),
        ({"logging": {"access": {"skip_paths": ["/ec"]}}}, "/echo"),
    ],
)
async def test_no_line(access_log: list[str], config: dict[str, Any], path: str) -> None:
    await post(config, path)
    assert access_log == []


async def test_the_trace_of_a_request() -> None:
    config = {"http": {"response": {"trace_id": True}}}
    [start, *_] = await post(config, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    assert dict(start["headers"])[b"x-bentoml-trace-id"] == TRACE.encode()
    [start, *_] = await post(config)
    assert re.fullmatch(rb"[0-9a-f]{32}", dict(start["headers"])[b"x-bentoml-trace-id"])
