"""The Runtime API as a state machine: what a runtime may say when, and what it is told."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.lambda_.messages import (
    Answered,
    Broken,
    Call,
    Offer,
    Output,
    Reply,
    RestoreReady,
    Streaming,
    Waiting,
)
from bentofn.adapters.local.lambda_.runtime_api import RuntimeApi, State

V = "/2018-06-01/runtime"


def get(number: int, path: str) -> Call:
    return Call(number, "GET", V + path)


def post(number: int, path: str, body: bytes = b"{}", **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(number, "POST", V + path, named, body, len(body))


def offer(request_id: str) -> Offer:
    return Offer(request_id, (("Content-Type", b"application/json"),), b'{"n":1}')


def replies(outputs: list[Output]) -> dict[int, int]:
    return {o.call: o.status for o in outputs if isinstance(o, Reply)}


def error(outputs: list[Output]) -> tuple[int, str]:
    [reply] = [o for o in outputs if isinstance(o, Reply)]
    return reply.status, json.loads(reply.body)["errorType"]


def running(request_id: str = "a", workers: int = 1) -> RuntimeApi:
    api = RuntimeApi(workers)
    api.call(get(1, "/invocation/next"))
    api.offer(offer(request_id))
    return api


def test_an_invocation_goes_to_who_waits_and_its_answer_comes_back() -> None:
    api = RuntimeApi()
    assert api.call(get(1, "/invocation/next")) == [Waiting()]
    [given_out] = api.offer(offer("a"))
    assert given_out == Reply(1, 200, b'{"n":1}', (("Content-Type", b"application/json"),))
    reply, answered = api.call(post(2, "/invocation/a/response", b"42", content_type="text/x"))
    assert reply == Reply(2, 202, b'{"status":"OK"}\n')
    assert answered == Answered("a", b"42", "text/x")
    assert api.call(get(3, "/invocation/next")) == [Waiting()]


def test_who_asks_again_for_what_it_has_gets_it_again() -> None:
    api = running()
    assert replies(api.call(get(2, "/invocation/next"))) == {2: 200}


def test_an_unknown_id_is_400_and_a_second_answer_403() -> None:
    api = running("a")
    assert error(api.call(post(2, "/invocation/b/response"))) == (400, "InvalidRequestID")
    api.call(post(3, "/invocation/a/response"))
    for kind in ("response", "error"):
        said = api.call(post(4, f"/invocation/a/{kind}"))
        assert error(said) == (403, "InvalidStateTransition")


def test_an_error_has_its_type_from_the_header_or_else_from_its_body() -> None:
    for headers, expected in (
        ({"lambda_runtime_function_error_type": "Function.Own"}, "Function.Own"),
        ({}, "ValueError"),
    ):
        body = b'{"errorType":"ValueError","errorMessage":"no"}'
        _, answered = running().call(post(2, "/invocation/a/error", body, **headers))
        assert isinstance(answered, Answered)
        assert (answered.payload, answered.error_type) == (body, expected)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"errorType":7}'])
def test_an_error_without_a_type_has_the_unknown_one(body: bytes) -> None:
    _, answered = running().call(post(2, "/invocation/a/error", body))
    assert isinstance(answered, Answered)
    assert answered.error_type == "Runtime.Unknown"


def test_an_answer_that_is_too_large_or_torn_is_an_error_of_the_function() -> None:
    large = Call(2, "POST", V + "/invocation/a/response", {}, b"", 7_000_000)
    outputs = running().call(large)
    assert error(outputs) == (413, "RequestEntityTooLarge")
    assert isinstance(outputs[1], Answered)
    assert outputs[1].error_type == "Function.ResponseSizeTooLarge"
    torn = Call(2, "POST", V + "/invocation/a/response", {}, b"4", 1, complete=False)
    outputs = running().call(torn)
    assert error(outputs) == (400, "TruncatedHTTPRequest")
    assert isinstance(outputs[1], Answered)
    assert outputs[1].error_type == "Runtime.TruncatedResponse"


def test_a_stream_may_end_in_an_error() -> None:
    body = b'{"errorType":"Oh","errorMessage":"no"}'
    trailers = {
        "lambda-runtime-function-error-type": "Oh",
        "lambda-runtime-function-error-body": base64.b64encode(body).decode(),
    }
    mode = {"lambda-runtime-function-response-mode": "streaming"}
    call = Call(2, "POST", V + "/invocation/a/response", mode, b"ab", 2, trailers=trailers)
    reply, answered = running().call(call)
    assert isinstance(reply, Reply)
    assert reply.status == 202
    assert answered == Answered("a", body, "application/json", "Oh")
    whole = Call(2, "POST", V + "/invocation/a/response", mode, b"ab", 2)
    assert running().call(whole)[1] == Answered("a", b"ab", "application/octet-stream")


def test_an_answer_is_streamed_to_a_caller_that_takes_it_so() -> None:
    headers = {"lambda-runtime-function-response-mode": "streaming", "content-type": "text/x"}
    head = Call(2, "POST", V + "/invocation/a/response", headers)
    assert running().begin(head) == []
    api = RuntimeApi()
    api.call(get(1, "/invocation/next"))
    api.offer(dataclasses.replace(offer("a"), streams=True))
    for other in (
        post(2, "/invocation/a/response"),
        dataclasses.replace(head, path=V + "/invocation/b/response"),
        dataclasses.replace(head, path=V + "/invocation/a/error"),
    ):
        assert api.begin(other) == []
    assert api.begin(head) == [Streaming(2, "a", "text/x")]
    whole = dataclasses.replace(head, size=7_000_000, limit=8_000_000)
    assert api.call(whole)[1] == Answered("a", b"", "text/x")


def test_another_response_mode_is_refused() -> None:
    said = running().call(
        post(2, "/invocation/a/response", lambda_runtime_function_response_mode="fast")
    )
    assert error(said) == (400, "InvalidFunctionResponseMode")


def test_a_start_that_failed_cannot_be_mended() -> None:
    api = RuntimeApi()
    body = b'{"errorType":"Runtime.ImportModuleError","errorMessage":"no"}'
    reply, broken = api.call(post(1, "/init/error", body))
    assert replies([reply]) == {1: 202}
    assert broken == Broken(body, "Runtime.ImportModuleError")
    for call in (get(2, "/invocation/next"), post(3, "/init/error", body)):
        assert error(api.call(call)) == (403, "InvalidStateTransition")


def test_the_snapshot_point_is_waited_at_and_left_once() -> None:
    api = RuntimeApi(snap_start=True)
    assert api.call(get(1, "/restore/next")) == [RestoreReady()]
    assert api.idle
    assert error(api.call(get(2, "/restore/next"))) == (403, "InvalidStateTransition")
    assert replies(api.restore()) == {1: 200}
    assert api.restore() == []
    assert api.call(get(3, "/invocation/next")) == [Waiting()]


@pytest.mark.parametrize("path", ["/restore/error", "/init/error"])
def test_a_hook_that_fails_after_the_restore_is_told_apart(path: str) -> None:
    api = RuntimeApi(snap_start=True)
    api.call(get(1, "/restore/next"))
    api.restore()
    body = b'{"errorType":"Runtime.AfterRestoreError"}'
    assert api.call(post(2, path, body))[1] == Broken(body, "Runtime.AfterRestoreError")


def test_without_snapstart_there_is_no_snapshot_point() -> None:
    assert replies(RuntimeApi().call(get(1, "/restore/next"))) == {1: 404}


@pytest.mark.parametrize("path", ["/", "/2018-06-01", "/runtime/invocation/next", "/x/ping"])
def test_other_paths_are_not_found(path: str) -> None:
    assert replies(RuntimeApi().call(Call(1, "GET", path))) == {1: 404}


def test_ping_is_answered_in_every_state() -> None:
    assert replies(running().call(Call(2, "GET", "/2018-06-01/ping"))) == {2: 200}


def test_several_workers_have_several_invocations_and_late_answers_are_gone() -> None:
    api = RuntimeApi(workers=2)
    api.call(get(1, "/invocation/next"))
    api.call(get(2, "/invocation/next"))
    assert replies([*api.offer(offer("a")), *api.offer(offer("b"))]) == {1: 200, 2: 200}
    api.give_up("a")
    assert error(api.call(post(3, "/invocation/a/response"))) == (410, "InvokeTimeout")
    assert replies(api.call(post(4, "/invocation/b/response"))) == {4: 202}
    assert error(api.call(post(5, "/invocation/b/response"))) == (400, "InvalidRequestID")


def test_a_connection_that_is_gone_gets_nothing() -> None:
    api = RuntimeApi()
    api.call(get(1, "/invocation/next"))
    api.hung_up(1)
    assert api.offer(offer("a")) == []
    assert replies(api.call(get(2, "/invocation/next"))) == {2: 200}


CALLS = st.sampled_from(
    [
        ("GET", "/invocation/next"),
        ("GET", "/restore/next"),
        ("POST", "/restore/error"),
        ("POST", "/init/error"),
        ("POST", "/invocation/a/response"),
        ("POST", "/invocation/a/error"),
        ("POST", "/invocation/b/response"),
        ("POST", "/invocation//error"),
        ("offer", "a"),
        ("offer", "b"),
        ("restore", ""),
        ("give up", "a"),
    ]
)


@given(st.lists(CALLS, max_size=30), st.booleans(), st.sampled_from([1, 3]))
def test_no_call_is_answered_twice_and_no_invocation(
    steps: list[tuple[str, str]], snap_start: bool, workers: int
) -> None:
    api = RuntimeApi(workers, snap_start=snap_start)
    waiting: set[int] = set()
    offered: list[str] = []
    answered: list[str] = []
    for number, (what, path) in enumerate(steps, 1):
        if what == "offer":
            name = f"{path}{number}" if path in offered else path
            offered.append(name)
            outputs = api.offer(offer(name))
        elif what == "restore":
            outputs = api.restore()
        elif what == "give up":
            api.give_up(path)
            outputs = []
        else:
            waiting.add(number)
            outputs = api.call(Call(number, what, V + path, {}, b"{}", 2))
        for output in outputs:
            if isinstance(output, Reply):
                waiting.remove(output.call)
            elif isinstance(output, Answered):
                answered.append(output.request_id)
        if what == "POST":
            assert number not in waiting, "only who asks for work waits"
    assert len(set(answered)) == len(answered)
    assert set(answered) <= set(offered)
    assert api.state in State
