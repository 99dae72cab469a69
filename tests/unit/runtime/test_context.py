from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.exceptions import BentoMLException
from bentofn.runtime.context import Context, Cookie, ServiceContext, current_context


def context() -> Context:
    scope = {"type": "http", "headers": [(b"x-a", b"1")]}
    return Context(scope, b"body", {}, "id")


def test_the_directory_lives_as_long_as_the_request() -> None:
    one, other = context(), context()
    path = Path(one.temp_dir)
    (path / "file").write_text("x")
    assert one.temp_dir == str(path)
    assert other.temp_dir != one.temp_dir
    one.close()
    other.close()
    assert not path.exists()
    one.close()


def test_the_response() -> None:
    response = context().response
    response.metadata["X-A"] = "1"
    response.set_cookie("k", "v", secure=True)
    assert response.headers["x-a"] == "1"
    assert response.cookies == [Cookie("k", "v", secure=True)]
    assert response.status_code == 200


def test_headers_may_be_replaced() -> None:
    response = context().response
    response.headers = {"X-B": "2"}
    assert response.metadata["x-b"] == "2"
    response.metadata = {"X-C": "3"}
    assert dict(response.headers) == {"x-c": "3"}


async def test_background_tasks_run_in_order() -> None:
    response = context().response
    ran: list[int] = []
    for number in (1, 2):
        response.background.add_task(ran.append, number)
    await response.run_background()
    assert ran == [1, 2]
    response.background = None
    await response.run_background()
    assert ran == [1, 2]


async def test_the_request() -> None:
    request = context().request
    assert request.metadata["X-A"] == "1"
    assert await request.body() == b"body"


def test_a_service_has_the_context_of_the_request_that_is_answered() -> None:
    service = ServiceContext()
    with pytest.raises(BentoMLException, match="There is no request"):
        _ = service.request
    one = context()
    token = current_context.set(one)
    assert service.request is one.request
    assert service.response is one.response
    assert service.temp_dir == one.temp_dir
    current_context.reset(token)
    one.close()
