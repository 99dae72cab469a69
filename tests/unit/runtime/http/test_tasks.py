"""Tasks over HTTP, with BentoML's routes and bodies."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import bentofn
from bentofn.exceptions import BadInput
from bentofn.runtime.errors import UserError
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.tasks.opening import tasks_database

from .conftest import Answer, Client, OpenApp


@bentofn.service(name="worker", traffic={"timeout": 0.2, "max_concurrency": 1})
class Worker:
    def __init__(self) -> None:
        self.begun = threading.Event()
        self.stopped = threading.Event()

    @bentofn.task
    async def double(self, n: int, seconds: float = 0.0) -> int:
        await asyncio.sleep(seconds)
        if n < 0:
            raise BadInput("negative")
        return 2 * n

    @bentofn.task(route="/spin")
    def busy(self) -> None:
        self.begun.set()
        try:
            while True:
                time.sleep(0.001)
        finally:
            self.stopped.set()

    @bentofn.task
    def name(self, ctx: bentofn.Context) -> str:
        ctx.response.headers["x-mine"] = "yes"
        ctx.response.status_code = 201
        return str(ctx.request.state.task_id)

    @bentofn.task
    def copy(self, file: Path, ctx: bentofn.Context) -> Path:
        target = Path(ctx.temp_dir, "copy.txt")
        target.write_bytes(file.read_bytes() * 2)
        return target


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path))
    monkeypatch.delenv("BENTOFN_INSTANCE", raising=False)


async def submitted(client: Client, route: str, content: Any = None) -> str:
    answer = await client.post(f"{route}/submit", {} if content is None else content)
    assert answer.status == 200, answer.text
    assert answer.json["status"] == "in_progress"
    return str(answer.json["task_id"])


async def ended(client: Client, route: str, task: str) -> str:
    for _ in range(2000):
        answer = await client.get(f"{route}/status?task_id={task}")
        if answer.json["status"] != "in_progress":
            return str(answer.json["status"])
        await asyncio.sleep(0.005)
    raise AssertionError("the task does not end")


async def result(client: Client, route: str, task: str) -> Answer:
    return await client.get(f"{route}/get?task_id={task}")


async def test_submit_status_get_retry(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        task = await submitted(client, "/double", {"n": 21})
        assert len(task) == 32
        assert await ended(client, "/double", task) == "completed"
        answer = await result(client, "/double", task)
        assert (answer.status, answer.json) == (200, 42)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["server"] == "BentoFN Service/worker"
        again = await client.post(f"/double/retry?task_id={task}")
        assert again.json["task_id"] != task
        assert await ended(client, "/double", again.json["task_id"]) == "completed"
        row = (await client.get(f"/double/status?task_id={task}")).json
        assert set(row) == {"task_id", "status", "created_at", "executed_at", "completed_at"}


async def test_a_task_may_take_longer_than_a_call(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        assert (await client.post("/double", {"n": 1, "seconds": 5})).status == 504
        task = await submitted(client, "/double", {"n": 1, "seconds": 0.4})
        assert await ended(client, "/double", task) == "completed"


async def test_the_failure_of_the_call_is_the_result(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        refused = await submitted(client, "/double", {"n": -1})
        invalid = await submitted(client, "/double", {"n": "x"})
        assert await ended(client, "/double", refused) == "failed"
        assert await ended(client, "/double", invalid) == "failed"
        answer = await result(client, "/double", refused)
        assert (answer.status, answer.json) == (400, [{"error": "negative"}])
        assert (await result(client, "/double", invalid)).json["error"].startswith("1 validation")


async def test_what_is_asked_wrongly(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        for method, action in (("GET", "status"), ("GET", "get"), ("POST", "retry")):
            none = await client.request(method, f"/double/{action}")
            assert (none.status, none.json) == (400, {"error": "task_id is required"})
            unknown = await client.request(method, f"/double/{action}?task_id=x")
            assert (unknown.status, unknown.json) == (404, {"error": "task_id not found"})
        assert (await client.request("PUT", "/double/cancel?task_id=x")).status == 404
        assert (await client.get("/double/submit")).status == 405
        task = await submitted(client, "/double", {"n": 1, "seconds": 60})
        early = await result(client, "/double", task)
        assert (early.status, early.json) == (400, {"error": f"task {task} is not completed yet"})
        assert (await client.post(f"/double/retry?task_id={task}")).status == 400
        assert (await client.request("PUT", f"/double/cancel?task_id={task}")).status == 200


async def test_cancel_stops_a_sync_method(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        worker: Any = client.app.instance
        task = await submitted(client, "/spin")
        waiting = await submitted(client, "/spin")
        await asyncio.to_thread(worker.begun.wait, 30)
        assert (await client.request("PUT", f"/spin/cancel?task_id={waiting}")).status == 200
        answer = await client.request("PUT", f"/spin/cancel?task_id={task}")
        assert (answer.status, answer.json) == (200, {"task_id": task, "status": "canceled"})
        assert await asyncio.to_thread(worker.stopped.wait, 30)
        assert await ended(client, "/spin", task) == "canceled"
        assert (await result(client, "/spin", task)).status == 400
        # The thread is free again.
        done = await submitted(client, "/name")
        assert await ended(client, "/name", done) == "completed"
        late = await client.request("PUT", f"/name/cancel?task_id={done}")
        assert (late.status, late.json) == (400, {"error": f"task {done} is already completed"})


async def test_a_task_knows_its_id_and_its_response_is_kept_whole(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        task = await submitted(client, "/name")
        assert await ended(client, "/name", task) == "completed"
        answer = await result(client, "/name", task)
        assert (answer.status, answer.text, answer.headers["x-mine"]) == (201, task, "yes")


async def test_metrics_say_what_waits_and_runs(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        body = {"n": 1, "seconds": 60}
        tasks = [await submitted(client, "/double", body) for _ in range(3)]
        text = (await client.get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("bentofn_tasks{")]
        assert sorted(line[-3:] for line in lines) == ["1.0", "2.0"]
        for task in tasks:
            await client.request("PUT", f"/double/cancel?task_id={task}")


async def test_the_documentation_tells_the_routes(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        paths = (await client.get("/docs.json")).json["paths"]
    assert {path for path in paths if path.startswith("/spin")} == {
        "/spin", "/spin/submit", "/spin/status", "/spin/get", "/spin/retry", "/spin/cancel",
    }  # fmt: skip
    assert paths["/double/submit"]["post"]["requestBody"] == paths["/double"]["post"]["requestBody"]
    assert "put" in paths["/double/cancel"]


async def test_tasks_where_nothing_can_be_written(
    open_app: OpenApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with open_app(Worker) as client, open_app(Worker) as another_worker:
        task = await submitted(client, "/double", {"n": 1})
        assert await ended(another_worker, "/double", task) == "completed"
    assert "among the temporary files" in caplog.text


async def test_tasks_whose_database_is_broken_are_not_left_behind(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    database = tasks_database(Worker.name)
    database.parent.mkdir()
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="cannot be kept in"):
        async with open_app(Worker):
            pass
    assert database.read_bytes() == b"no database" * 1000


async def test_files_in_and_out(open_app: OpenApp) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nab\r\n--b--'
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with open_app(Worker) as client:
        answer = await client.post("/copy/submit", form, headers=headers)
        task = answer.json["task_id"]
        assert await ended(client, "/copy", task) == "completed"
        answer = await result(client, "/copy", task)
        assert answer.body == b"abab"
        assert 'filename="copy.txt"' in answer.headers["content-disposition"]


async def test_an_application_has_a_database_from_its_first_task_on(open_app: OpenApp) -> None:
    database = tasks_database(Worker.name)
    async with open_app(Worker) as client:
        assert (await client.post("/double", {"n": 1})).json == 2
        assert not database.exists()
        unknown = await client.get("/double/status?task_id=x")
        assert unknown.json == {"error": "task_id not found"}
        await submitted(client, "/double", {"n": 1, "seconds": 60})
        assert database.exists()


async def test_a_server_that_cannot_keep_tasks_does_not_start(open_app: OpenApp) -> None:
    database = tasks_database(Worker.name)
    database.parent.mkdir()
    database.with_name(f"{database.name}-wal").mkdir()  # SQLite's own beside it
    assert not database.exists()
    with pytest.raises(UserError, match="cannot be kept in"):
        await ServiceApp(Worker, Worker(), serves=True).start()
    database.unlink(missing_ok=True)
    async with open_app(Worker) as client:
        refused = await client.post("/double/submit", {"n": 1})
        assert (refused.status, "cannot be kept in" in refused.json["error"]) == (503, True)


async def test_tasks_survive_the_process(open_app: OpenApp) -> None:
    async with open_app(Worker) as client:
        done = await submitted(client, "/double", {"n": 1})
        assert await ended(client, "/double", done) == "completed"
    async with open_app(Worker) as client:
        assert (await result(client, "/double", done)).json == 2


async def test_on_a_platform_an_instance_runs_what_it_is_told(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_INSTANCE", "v1-1")
    async with open_app(Worker) as client:
        assert (await client.post("/name/submit", {})).status == 404
        assert (await client.post("/name/.run", {})).status == 404
        answer = await client.post("/name/.run", {}, headers={"x-bentofn-task": "t1"})
        assert (answer.status, answer.text) == (201, "t1")


def test_a_task_is_no_stream() -> None:
    with pytest.raises(ValueError, match="cannot be a stream"):

        @bentofn.task
        def words(self: Any) -> Any:
            yield "a"


def test_a_service_with_tasks_has_a_queue_in_front() -> None:
    assert Worker.config["traffic"] == {
        "timeout": 0.2,
        "max_concurrency": 1,
        "external_queue": True,
        "concurrency": 1,
    }
    schema = {route["name"]: route["is_task"] for route in _routes()}
    assert schema == {"double": True, "busy": True, "name": True, "copy": True}


def _routes() -> list[Any]:
    from bentofn.runtime.http.openapi import schema_document
    from bentofn.runtime.io.spec import build_spec

    routes = schema_document(Worker, [build_spec(m) for m in Worker.apis.values()])["routes"]
    return list(routes)


def test_a_template_is_no_route_of_a_task() -> None:
    @bentofn.service
    class Odd:
        @bentofn.task(route="/a/{x}")
        def run(self) -> str:
            return ""

    with pytest.raises(UserError, match="takes no parameters"):
        Odd.to_asgi()


def test_a_project_keeps_its_tasks_out_of_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BENTOFN_STATE")
    monkeypatch.setenv("BENTOFN_HOME", str(tmp_path / "home"))
    path = tasks_database("worker")
    assert path.is_relative_to(tmp_path / "home" / "tasks")
