from __future__ import annotations

from pathlib import Path

from starlette.requests import Request

from bentofn.runtime.context import Context, Cookie


def context() -> Context:
    return Context(Request({"type": "http", "headers": []}), {})


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
