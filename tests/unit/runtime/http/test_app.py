"""BentoML's HTTP contract: shared/reference lists it as a table, and so does this file."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

import bentofn
from bentofn.exceptions import (
    BadInput,
    BentoMLException,
    NotFound,
    ServiceUnavailable,
    UnprocessableEntity,
)
from bentofn.runtime.errors import UserError

GENERIC = {"error": "An unexpected error has occurred, please check the server log."}


class Point(BaseModel):
    x: float
    y: float = 2.0


class Teapot(BentoMLException):
    error_code = 418  # type: ignore[assignment]


ERRORS: dict[str, Exception] = {
    "bad": BadInput("no good"),
    "missing": NotFound("not here"),
    "odd": UnprocessableEntity("cannot"),
    "teapot": Teapot("short and stout"),
    "secret": BentoMLException("who are you", error_code=401),
    "forbidden": BentoMLException("go away", error_code=403),
    "late": ServiceUnavailable("later"),
    "broken": BentoMLException("inside"),
    "bug": RuntimeError("the secret of the bug"),
    "stop": StopIteration(),
}


@bentofn.service(name="shapes", traffic={"timeout": 30})
class Shapes:
    """Takes and returns every kind of value."""

    @bentofn.api
    def scale(self, point: Point, factor: float = 3.0) -> Point:
        """Scale a point."""
        return Point(x=point.x * factor, y=point.y * factor)

    @bentofn.api
    def shout(self, text: str, /) -> str:
        return text.upper()

    @bentofn.api
    def reverse(self, data: bytes, /) -> bytes:
        return data[::-1]

    @bentofn.api
    def transpose(self, array: np.ndarray) -> np.ndarray:
        return array.T

    @bentofn.api
    def total(self, numbers: list[float], /) -> float:
        return sum(numbers)

    @bentofn.api(route="/untyped/route")
    async def untyped(self, value):  # type: ignore[no-untyped-def]
        return {"value": value}

    @bentofn.api
    def nothing(self) -> None:
        return None

    @bentofn.api
    def fail(self, kind: str) -> str:
        raise ERRORS[kind]

    @bentofn.api
    def check(self, data: dict[str, Any]) -> Point:
        return Point(**data)

    @bentofn.api
    def header(self, value: str, ctx: bentofn.Context) -> None:
        ctx.response.headers["x-own"] = value

    @bentofn.api
    def status(self, status: int, ctx: bentofn.Context) -> None:
        ctx.response.status_code = status

    @bentofn.api
    def lie(self) -> list[int]:
        return ["a secret"]  # type: ignore[list-item]

    @bentofn.api
    def raw(self) -> PlainTextResponse:
        return PlainTextResponse("made by hand", 202)

    @bentofn.api
    def json(self, copy: int, schema: str) -> dict[str, Any]:
        return {"copy": copy, "schema": schema}

    @bentofn.api
    def __call__(self, n: int) -> int:
        return n + 1


@pytest.mark.parametrize(
    ("path", "content", "answer"),
    [
        ("/scale", {"point": {"x": 1}}, {"x": 3.0, "y": 6.0}),
        ("/scale", {"point": {"x": 1}, "factor": 2, "extra": "ignored"}, {"x": 2.0, "y": 4.0}),
        ("/transpose", {"array": [[1, 2], [3, 4]]}, [[1, 3], [2, 4]]),
        ("/total", [1, 2.5], 3.5),
        ("/untyped/route", {"value": [1, {"a": None}]}, {"value": [1, {"a": None}]}),
        ("/nothing", {}, None),
        ("/json", {"copy": 1, "schema": "s"}, {"copy": 1, "schema": "s"}),
        ("/", {"n": 1}, 2),
    ],
)
async def test_json_in_and_out(open_app: Any, path: str, content: Any, answer: Any) -> None:
    async with open_app(Shapes) as client:
        result = await client.post(path, content)
    assert (result.status, result.json) == (200, answer)
    assert result.headers["content-type"] == "application/json"
    assert result.headers["content-length"] == str(len(result.body))


async def test_text_and_bytes_are_the_body_itself(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        text = await client.post("/shout", "grüße".encode(), headers={"content-type": "text/plain"})
        data = await client.post("/reverse", b"\x00\xff")
    assert (text.text, text.headers["content-type"]) == ("GRÜSSE", "text/plain; charset=utf-8")
    assert data.body == b"\xff\x00"
    assert data.headers["content-type"].startswith("text/plain")


async def test_an_unknown_content_type_is_read_as_json(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/", {"n": 1}, headers={"content-type": "application/x-odd"})
        empty = await client.post("/nothing", b"", headers={"content-type": ""})
    assert answer.json == 2
    assert empty.json is None


async def test_pickle_is_refused(open_app: Any) -> None:
    headers = {"content-type": "application/vnd.bentoml+pickle"}
    async with open_app(Shapes) as client:
        assert (await client.post("/", b"", headers=headers)).status == 415


async def test_an_input_that_does_not_validate_is_400(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/scale", {"point": {"y": 1}, "factor": "big"})
        broken = await client.post("/scale", b"{")
        listed = await client.post("/scale", [1])
        ragged = await client.post("/transpose", {"array": [[1], [2, 3]]})
    assert answer.status == 400
    assert answer.json["error"] == "2 validation error for Input"
    first, second = answer.json["detail"]
    assert set(first) == {"type", "loc", "msg", "url"}
    assert (first["loc"], second["loc"]) == (["point", "x"], ["factor"])
    assert (broken.status, broken.json["error"]) == (400, "1 validation error for Input")
    assert listed.status == 400
    assert (ragged.status, ragged.json["detail"][0]["loc"]) == (400, ["array"])


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("bad", 400, [{"error": "no good"}]),
        ("missing", 404, [{"error": "not here"}]),
        ("odd", 422, [{"error": "cannot"}]),
        ("teapot", 418, [{"error": "short and stout"}]),
        ("secret", 401, {"error": "Authorization error"}),
        ("forbidden", 403, {"error": "Authorization error"}),
        ("late", 503, GENERIC),
        ("broken", 500, GENERIC),
        ("bug", 500, GENERIC),
        ("stop", 500, GENERIC),
    ],
)
async def test_exceptions(open_app: Any, kind: str, status: int, body: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/fail", {"kind": kind})
    assert (answer.status, answer.json) == (status, body)


async def test_a_bug_is_logged_with_its_request(
    open_app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_app(Shapes) as client:
        await client.post("/fail", {"kind": "bug"}, headers={"x-bentofn-request-id": "r-17"})
    assert "Shapes.fail failed (request r-17)" in caplog.text
    assert "RuntimeError: the secret of the bug" in caplog.text


async def test_an_output_that_does_not_validate_is_the_services_fault(
    open_app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/lie", {})
    assert (answer.status, answer.json) == (500, GENERIC)
    assert "Shapes.lie made or returned what does not validate" in caplog.text
    assert "list[int].0: Input should be a valid integer" in caplog.text
    assert "a secret" not in caplog.text + answer.text


async def test_a_validation_error_inside_a_method_is_400(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/check", {"data": {"y": 1}})
    assert (answer.status, answer.json["error"]) == (400, "1 validation error for Point")


async def test_a_header_cannot_forge_the_response(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/header", {"value": "a\r\nset-cookie: b=1"})
    assert (answer.status, answer.json) == (500, GENERIC)
    assert "set-cookie" not in answer.headers


async def test_a_status_that_is_none_is_an_error_of_the_service(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/status", {"status": 0})
    assert (answer.status, answer.json) == (500, GENERIC)


@pytest.mark.parametrize(
    ("path", "location"),
    [("/scale/", "../scale"), ("/untyped/route/?a=1", "../route?a=1"), ("/livez/", "../livez")],
)
async def test_a_slash_too_much_is_redirected(open_app: Any, path: str, location: str) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post(path, {})
    assert (answer.status, answer.headers["location"]) == (307, location)


async def test_a_callers_mistake_is_no_error_in_the_log(
    open_app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_app(Shapes) as client:
        await client.post("/fail", {"kind": "bad"})
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_response_made_by_hand_goes_out_as_it_is(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.post("/raw", {})
    assert (answer.status, answer.text) == (202, "made by hand")
    assert answer.headers["server"] == "BentoFN Service/shapes"


async def test_wrong_method_and_unknown_path(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        method = await client.get("/scale")
        unknown = await client.get("/nowhere")
        posted = await client.post("/livez", {})
    assert (method.status, method.text) == (405, "Method Not Allowed")
    assert (method.headers["allow"], method.headers["content-type"]) == (
        "POST",
        "text/plain; charset=utf-8",
    )
    assert (unknown.status, unknown.text) == (404, "Not Found")
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_request_id_and_server_headers(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        ours = await client.post("/", {"n": 1}, headers={"X-Bentofn-Request-Id": "abc"})
        theirs = await client.post("/", {"n": 1}, headers={"X-BentoML-Request-ID": "def"})
        made = await client.get("/livez")
        evil = await client.get("/livez", {"X-Bentofn-Request-Id": "a b\t" * 100})
    assert ours.headers["x-bentofn-request-id"] == "abc"
    assert theirs.headers["x-bentofn-request-id"] == theirs.headers["x-bentoml-request-id"] == "def"
    assert len(made.headers["x-bentofn-request-id"]) == 16
    assert len(evil.headers["x-bentofn-request-id"]) == 16
    assert made.headers["server"] == "BentoFN Service/shapes"


async def test_head_has_the_length_and_no_body(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.request("HEAD", "/schema.json")
        whole = await client.get("/schema.json")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(whole.body))


async def test_a_mounted_application_sees_its_own_paths(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        answer = await client.request("POST", "/mount/", b'{"n": 1}', root_path="/mount")
    assert answer.json == 2


@bentofn.service(path_prefix="/api/v1/", metrics={"enabled": False})
class Prefixed:
    @bentofn.api
    def ping(self) -> str:
        return "pong"


async def test_path_prefix_stands_before_all_but_the_schema(open_app: Any) -> None:
    async with open_app(Prefixed) as client:
        paths = ["livez", "healthz", "readyz", "docs.json", ""]
        statuses = [(await client.get(f"/api/v1/{path}")).status for path in paths]
        ping = await client.post("/api/v1/ping", {})
        bare = [(await client.get(path)).status for path in ("/livez", "/api/v1/metrics")]
        schema = await client.get("/schema.json")
    assert statuses == [200] * len(paths)
    assert ping.text == "pong"
    assert bare == [404, 404]
    assert schema.json["routes"][0]["route"] == "/api/v1/ping"


async def test_health(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        for path in ("/livez", "/healthz", "/readyz"):
            answer = await client.get(path)
            assert (answer.status, answer.text) == (200, "\n")
        client.app.ready = False
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/livez")).status == 200


@bentofn.service
class Moody:
    def __init__(self) -> None:
        self.ready = True

    async def __is_ready__(self) -> bool:
        return self.ready

    def __is_alive__(self) -> bool:
        raise RuntimeError("dead")

    def __metrics__(self, text: str) -> str:
        return text + "own_metric 1.0\n"

    @bentofn.api
    def toggle(self) -> None:
        self.ready = not self.ready


async def test_a_service_has_its_own_say_about_its_health_and_metrics(open_app: Any) -> None:
    async with open_app(Moody) as client:
        assert (await client.get("/readyz")).status == 200
        await client.post("/toggle", {})
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/livez")).status == 500
        assert (await client.get("/metrics")).text.endswith("own_metric 1.0\n")


@bentofn.service(traffic={"max_concurrency": 2, "timeout": 30})
class Narrow:
    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.full = asyncio.Event()
        self.waiting = 0

    @bentofn.api
    async def wait(self) -> str:
        self.waiting += 1
        if self.waiting == 2:
            self.full.set()
        await self.open.wait()
        return "done"


async def test_more_than_max_concurrency_is_429(open_app: Any) -> None:
    async with open_app(Narrow) as client:
        running = [asyncio.ensure_future(client.post("/wait", {})) for _ in range(2)]
        await client.app.instance.full.wait()
        refused = await client.post("/wait", {})
        health = [(await client.get(path)).status for path in ("/livez", "/readyz", "/metrics")]
        client.app.instance.open.set()
        answers = [(await task).status for task in running]
        after = await client.post("/wait", {})
    assert (refused.status, refused.json) == (429, {"error": "Too many requests"})
    assert health == [200, 200, 200]
    assert answers == [200, 200]
    assert after.status == 200


@bentofn.service(traffic={"timeout": 0.05})
class Slow:
    def __init__(self) -> None:
        self.release = threading.Event()
        self.cancelled = False

    @bentofn.api
    async def sleep(self) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "done"

    @bentofn.api
    def block(self) -> str:
        self.release.wait(60)
        return "done"

    @bentofn.api
    async def own(self) -> str:
        raise asyncio.TimeoutError


async def test_a_late_answer_is_504(open_app: Any) -> None:
    message = {"error": "Not able to process the request in 0.05 seconds"}
    async with open_app(Slow) as client:
        answer = await client.post("/sleep", {})
        blocked = await client.post("/block", {})
        own = await client.post("/own", {})
        client.app.instance.release.set()
        assert client.app.instance.cancelled
    assert (answer.status, answer.json) == (504, message)
    assert (blocked.status, blocked.json) == (504, message)
    assert (own.status, own.json) == (500, GENERIC)


@bentofn.service
class Hooked:
    def __init__(self) -> None:
        self.events: list[str] = []

    @bentofn.on_startup
    async def connect(self) -> None:
        self.events.append("startup")

    @bentofn.on_shutdown
    def disconnect(self) -> None:
        self.events.append("shutdown")

    @bentofn.api
    def ping(self) -> str:
        self.events.append("ping")
        return "pong"


async def _lifespan(app: Any, *kinds: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    messages = [{"type": f"lifespan.{kind}"} for kind in kinds]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    return sent


async def test_lifespan_runs_the_hooks_and_gives_back_the_threads() -> None:
    app = Hooked.to_asgi()
    assert not app.ready
    before = threading.active_count()
    sent = await _lifespan(app, "startup", "shutdown")
    assert [each["type"] for each in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert app.instance.events == ["startup", "shutdown"]  # type: ignore[attr-defined]
    assert threading.active_count() == before


@bentofn.service
class Unlucky:
    @bentofn.on_startup
    def fail(self) -> None:
        raise RuntimeError("no database")


async def test_a_startup_hook_that_fails_keeps_the_service_from_starting() -> None:
    sent = await _lifespan(Unlucky.to_asgi(), "startup")
    assert sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


async def test_an_application_that_is_not_started_is_not_ready(open_app: Any) -> None:
    async with open_app(Hooked) as client:
        pass
    assert (await client.get("/readyz")).status == 503
    assert (await client.post("/ping", {})).status == 503


def test_two_endpoints_with_one_route_are_refused() -> None:
    @bentofn.service
    class Twins:
        @bentofn.api(route="/same")
        def one(self) -> str:
            return ""

        @bentofn.api(route="/same")
        def two(self) -> str:
            return ""

    with pytest.raises(
        UserError, match=r"Twins\.two: the route /same is already taken by Twins\.one"
    ):
        Twins.to_asgi()


def test_making_an_application_starts_nothing() -> None:
    before = threading.active_count()
    Shapes.to_asgi()
    assert threading.active_count() == before


@bentofn.service(
    http={"cors": {"enabled": True, "access_control_allow_origins": "https://a.example"}}
)
class Shared:
    @bentofn.api
    def ping(self) -> str:
        return "pong"


async def test_cors(open_app: Any) -> None:
    async with open_app(Shared) as client:
        answer = await client.post("/ping", {}, headers={"origin": "https://a.example"})
        other = await client.post("/ping", {}, headers={"origin": "https://b.example"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in other.headers


async def test_the_documentation_page_needs_nothing_from_elsewhere(open_app: Any) -> None:
    async with open_app(Shapes) as client:
        page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert '"./docs.json"' in page.text
