"""The local platform with real processes: cold, restored, zero, batches, crashes, recovery."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import signal
import site
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import bentofn
from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.adapters.url import Cors, Url
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract

SERVICE = """
import os
import threading
import time
from collections.abc import Iterator

import bentofn

WORD = {word!r}


@bentofn.service
class Echo:
    def __init__(self) -> None:
        print("constructed", flush=True)
        if {thread}:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

    @bentofn.on_deployment
    @staticmethod
    def migrate() -> None:
        print("migrated", flush=True)

    @bentofn.api(batchable=True, max_batch_size=16, max_latency_ms=30000,
                 examples=[{{"texts": ["warm"]}}])
    def echo(self, texts: list[str]) -> list[str]:
        time.sleep(0.05)
        return [WORD + text for text in texts]

    @bentofn.api
    def where(self, name: str) -> str:
        return os.environ.get(name, "unset")

    @bentofn.api
    def count(self, gate: str) -> Iterator[str]:
        yield "one "
        while not os.path.exists(gate):
            time.sleep(0.01)
        yield "two"

    @bentofn.api
    def endless(self, log: str) -> Iterator[bytes]:
        try:
            with open(log, "w") as file:
                while True:
                    file.write(".")
                    file.flush()
                    yield bytes(1 << 16)
        finally:
            os.rename(log, log + ".closed")

    @bentofn.api
    def slow(self, seconds: float, begun: str = os.devnull) -> str:
        open(begun, "w").close()
        time.sleep(seconds)
        return "done"
"""

SLOW_START = "import time\ntime.sleep(600)\n"
BROKEN = "import bentofn\nraise RuntimeError('this model is broken')\n"


def make_root(directory: Path, code: str, name: str = "echo") -> Path:
    """A bento root made of links, as unpacking makes one."""
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "service.py").write_text(code)
    package = directory / "runtime" / "bentofn"
    package.mkdir(parents=True)
    for part in ("__init__.py", "models.py", "exceptions.py", "runtime"):
        (package / part).symlink_to((Path(bentofn.__path__[0]) / part).resolve())
    (directory / "env").mkdir()
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if entry.suffix != ".pth" and "bentofn" not in entry.name:
            (directory / "env" / entry.name).symlink_to(entry)
    schema = {"type": "object"}
    apis = (
        APIContract("count", "/count", schema, schema, is_stream=True),
        APIContract("echo", "/echo", schema, schema, batchable=True, max_batch_size=16),
        APIContract("endless", "/endless", schema, schema, is_stream=True),
        APIContract("slow", "/slow", schema, schema),
        APIContract("where", "/where", schema, schema),
    )
    manifest = BentoManifest(
        name=name,
        version="1",
        contract=ServiceContract(
            "Echo", "service:Echo", apis=apis, has_deployment_hook=code.startswith("\n")
        ),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        platform="linux/amd64",
        envs={"FROM_BENTO": "yes"},
    )
    (directory / "bento.json").write_bytes(manifest.to_json())
    return directory


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("roots")
    return {
        "one": make_root(base / "one", SERVICE.format(word="", thread=False)),
        "two": make_root(base / "two", SERVICE.format(word="two ", thread=False)),
        "threaded": make_root(base / "threaded", SERVICE.format(word="", thread=True)),
        "slow": make_root(base / "slow", SLOW_START),
        "broken": make_root(base / "broken", BROKEN),
    }


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    # The same on every host; snapshots have tests of their own (tests/integration/snapshot).
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        yield home
        daemon.stop(home)


@pytest.fixture
def adapter(home: Home) -> LocalAdapter:
    return LocalAdapter(home, port=0)


def spec(root: Path, name: str = "echo", **settings: Any) -> FunctionSpec:
    return FunctionSpec(name, str(root), FunctionSettings(cpu=1, **settings))


def ignore(_: str) -> None:
    """Take no interest in progress."""


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    home: Home, path: str, body: object = None, method: str = "POST", **headers: str
) -> Answer:
    endpoint = daemon.status(home)
    assert endpoint is not None
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    data = None if body is None else json.dumps(body)
    sent = {
        "Content-Type": "application/json",
        **{k.replace("_", "-"): headers[k] for k in headers},
    }
    connection.request(method, path, data, sent)
    response = connection.getresponse()
    found = Answer(
        response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    )
    connection.close()
    return found


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def only(adapter: LocalAdapter, name: str = "echo") -> FunctionStatus:
    (found,) = adapter.status(name)
    return found


def processes_of(home: Home, roots: dict[str, Path]) -> list[int]:
    """Processes that run from one of the roots, or are the platform of the home."""
    marks = [str(home.path).encode(), *(str(root).encode() for root in roots.values())]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if any(mark in line for mark in marks):
                found.append(int(entry.name))
    return found


def test_cold_then_warm_then_zero_then_cold_again(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    deployed = adapter.apply(spec(roots["one"], snapshot="none", idle_timeout=0.5), ignore)
    assert deployed.version == 1
    assert deployed.snapshot == "none"
    answer = call(home, "/echo/echo", {"texts": ["a"]})
    assert answer.json == ["a"]
    eventually(lambda: only(adapter).state == "zero")
    answer = call(home, "/echo/echo", {"texts": ["b"]})
    assert (answer.json, answer.headers["x-bentofn-start"]) == (["b"], "cold")
    answer = call(home, "/echo/echo", {"texts": ["c"]})
    assert (answer.json, answer.headers["x-bentofn-start"]) == (["c"], "warm")
    found = only(adapter)
    assert found.starts == {"cold": 2}
    assert found.requests == 3
    assert found.last_start_ms is not None


def test_from_zero_an_instance_is_restored(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    steps: list[str] = []
    deployed = adapter.apply(spec(roots["one"], idle_timeout=0.3), steps.append)
    assert deployed.snapshot == "template", deployed.note
    assert steps
    eventually(lambda: only(adapter).state == "zero")
    answer = call(home, "/echo/echo", {"texts": ["a"]})
    assert (answer.json, answer.headers["x-bentofn-start"]) == (["a"], "restored")
    assert set(only(adapter).starts) == {"restored"}


def test_a_service_that_cannot_be_forked_starts_plainly_and_says_why(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    deployed = adapter.apply(spec(roots["threaded"]), ignore)
    assert deployed.snapshot == "none"
    assert "thread" in deployed.note
    assert call(home, "/echo/echo", {"texts": ["a"]}).json == ["a"]
    assert only(adapter).starts == {"cold": 1}
    assert only(adapter).note == deployed.note


@pytest.mark.parametrize("wait", [True, False])
def test_a_function_that_must_be_restored_is_refused_where_it_cannot_be_forked(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], wait: bool
) -> None:
    with pytest.raises(UserError, match="1 thread"):
        adapter.apply(spec(roots["threaded"], snapshot="template"), ignore, wait=wait)
    assert adapter.status() == []


def test_a_function_that_must_be_restored_never_starts_plainly(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"], snapshot="template"), ignore, wait=False)
    assert only(adapter).starts == {"restored": 1}
    assert only(adapter).snapshot == "template"
    platform = daemon.status(home)
    assert platform is not None
    for process in set(processes_of(home, roots)) - {platform.pid}:
        with contextlib.suppress(ProcessLookupError):  # a template takes its instances along
            os.kill(process, signal.SIGKILL)
    eventually(lambda: only(adapter).state == "zero")
    assert call(home, "/echo/echo", {"texts": ["a"]}).headers["x-bentofn-start"] == "restored"
    assert only(adapter).starts == {"restored": 2}


def test_a_deploy_that_does_not_wait_gets_its_template_later(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore, wait=False)
    assert only(adapter).starts == {"cold": 1}
    eventually(lambda: only(adapter).snapshot == "template")


def test_concurrent_requests_form_batches(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda n: call(home, "/echo/echo", {"texts": [str(n)]}), range(48)))
    assert [answer.json for answer in answers] == [[str(n)] for n in range(48)]
    assert only(adapter).largest_batch > 1
    assert len(only(adapter).instances) == 1


def test_requests_that_arrive_at_zero_share_the_start(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"], snapshot="none", idle_timeout=0.3), ignore)
    eventually(lambda: only(adapter).state == "zero")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: call(home, "/echo/echo", {"texts": [str(n)]}), range(8)))
    assert {answer.status for answer in answers} == {200}
    assert only(adapter).starts == {"cold": 2}


def test_a_killed_instance_is_replaced(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], tmp_path: Path
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    (instance,) = only(adapter).instances
    assert instance.pid is not None
    begun = tmp_path / "begun"
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(call, home, "/echo/slow", {"seconds": 30, "begun": str(begun)})
        eventually(begun.exists)  # one that is not read yet would go to another instance
        os.kill(instance.pid, signal.SIGKILL)
        answer = stuck.result()
    assert answer.status == 502
    assert "signal 9" in answer.json["error"] or "broke off" in answer.json["error"]
    answer = call(home, "/echo/echo", {"texts": ["a"]})
    assert answer.json == ["a"]
    assert answer.headers["x-bentofn-instance"] != instance.id


def test_a_request_that_a_killed_instance_did_not_read_goes_to_another(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    for _ in range(8):
        before = call(home, "/echo/echo", {"texts": ["a"]})  # its connection is kept
        (pid,) = (each.pid for each in only(adapter).instances if each.state == "ready")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        after = call(home, "/echo/echo", {"texts": ["b"]})
        assert (after.status, after.json) == (200, ["b"])
        assert after.headers["x-bentofn-instance"] != before.headers["x-bentofn-instance"]


def test_after_the_platform_is_killed_nothing_is_left_and_a_start_recovers(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"], min_instances=2), ignore)
    eventually(lambda: [i.state for i in only(adapter).instances] == ["ready"] * 2)
    endpoint = daemon.status(home)
    assert endpoint is not None
    assert processes_of(home, roots)
    os.kill(endpoint.pid, signal.SIGKILL)
    # A child of this test: it must be waited for to be gone.
    os.waitpid(endpoint.pid, 0)
    eventually(lambda: not processes_of(home, roots))
    assert daemon.status(home) is None
    assert only(adapter).state == "stopped"
    again = daemon.start(home, 0)
    assert again.pid != endpoint.pid
    assert call(home, "/echo/echo", {"texts": ["a"]}).json == ["a"]
    assert only(adapter).version == 1


def test_a_function_whose_bento_is_gone_does_not_keep_the_others_from_recovery(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], tmp_path: Path
) -> None:
    lost = make_root(tmp_path / "lost", SERVICE.format(word="", thread=False))
    adapter.apply(spec(lost, "lost"), ignore)
    adapter.apply(spec(roots["one"]), ignore)
    daemon.stop(home)
    shutil.rmtree(lost)
    daemon.start(home, 0)
    assert call(home, "/echo/echo", {"texts": ["a"]}).json == ["a"]
    assert only(adapter, "lost").state == "broken"
    answer = call(home, "/lost/echo", {"texts": ["a"]})
    assert answer.status == 503
    assert "bento is not usable" in answer.json["error"]
    adapter.destroy("lost")
    assert [function.name for function in adapter.status()] == ["echo"]


def test_a_version_that_does_not_start_leaves_the_old_one_live(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    with pytest.raises(UserError, match="this model is broken"):
        adapter.apply(spec(roots["broken"]), ignore)
    with pytest.raises(UserError, match="this model is broken"):
        adapter.apply(spec(roots["broken"], snapshot="none"), ignore)
    assert call(home, "/echo/echo", {"texts": ["a"]}).json == ["a"]
    assert only(adapter).version == 1
    with pytest.raises(UserError, match="this model is broken"):
        adapter.apply(spec(roots["broken"], "other"), ignore)
    assert [function.name for function in adapter.status()] == ["echo"]


def test_a_new_version_takes_over_without_a_failed_request(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    done = threading.Event()
    answers: list[Answer] = []

    def keep_calling() -> None:
        while not done.is_set():
            answers.append(call(home, "/echo/echo", {"texts": ["a"]}))

    with ThreadPoolExecutor(2) as pool:
        callers = [pool.submit(keep_calling) for _ in range(2)]
        deployed = adapter.apply(spec(roots["two"]), ignore)
        eventually(lambda: answers and answers[-1].json == ["two a"])
        done.set()
        for caller in callers:
            caller.result()
    assert deployed.version == 2
    assert {answer.status for answer in answers} == {200}
    assert adapter.apply(spec(roots["two"]), ignore).changed is False


def test_two_deploys_at_once_end_in_order(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda n: adapter.apply(spec(roots[n]), ignore), ["one", "two"]))
    assert sorted(deployed.version for deployed in both) == [1, 2]
    last = max(both, key=lambda deployed: deployed.version)
    assert only(adapter).digest == last.digest
    expected = "a" if last.bento == str(roots["one"]) else "two a"
    assert call(home, "/echo/echo", {"texts": ["a"]}).json == [expected]


def test_the_environment_of_an_instance(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_PLATFORM", "leaked")
    adapter.apply(spec(roots["one"], environment={"OF_THE_SPEC": "given"}), ignore)

    def seen(name: str) -> str:
        return call(home, "/echo/where", {"name": name}).body.decode().strip('"')

    assert seen("OF_THE_SPEC") == "given"
    assert seen("FROM_BENTO") == "yes"
    assert seen("OF_THE_PLATFORM") == "unset"
    assert seen("BENTOFN_FUNCTION") == "echo"
    assert seen("BENTOFN_INSTANCE") == only(adapter).instances[0].id


def test_what_the_platform_answers_itself(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    url = Url(cors=Cors())
    adapter.apply(spec(roots["one"], timeout=0.5, url=url, concurrency=4), ignore)
    assert call(home, "/nobody/echo", {}).status == 404
    assert "deployed: echo" in call(home, "/nobody/echo", {}).json["error"]
    answer = call(home, "/echo/slow", {"seconds": 3}, Origin="https://page.example")
    assert answer.status == 504
    assert answer.headers["access-control-allow-origin"] == "*"
    stuck = answer.headers["x-bentofn-instance"]
    assert call(home, "/echo/where", {"name": "HOME"}).headers["x-bentofn-instance"] != stuck
    asked = {"Origin": "https://page.example", "Access_Control_Request_Method": "POST"}
    answer = call(home, "/echo/echo", method="OPTIONS", **asked)
    assert (answer.status, answer.headers["access-control-allow-methods"]) == (204, "POST")
    assert call(home, "/_bentofn/status", method="GET").status == 401
    overview = call(home, "/", method="GET").json
    assert [function["name"] for function in overview["functions"]] == ["echo"]
    # The service's own answers pass through.
    assert call(home, "/echo/echo", {"texts": 7}).status == 400
    assert call(home, "/echo/livez", method="GET").status == 200


def test_a_stream_is_forwarded_as_it_comes(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], tmp_path: Path
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    gate = tmp_path / "gate"
    reply = adapter.invoke("echo", json.dumps({"gate": str(gate)}).encode(), api="count")
    assert next(reply.body) == b"one "
    gate.touch()
    assert b"".join(reply.body) == b"two"


def test_a_stream_whose_instance_dies_is_seen_to_break_off(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], tmp_path: Path
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    reply = adapter.invoke("echo", json.dumps({"gate": str(tmp_path / "x")}).encode(), api="count")
    assert next(reply.body) == b"one "
    pid = only(adapter).instances[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UserError, match="broke off"):
        list(reply.body)


def test_a_caller_that_goes_gives_its_place_back(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], tmp_path: Path
) -> None:
    adapter.apply(spec(roots["one"], concurrency=1, max_instances=1), ignore)
    endpoint = daemon.status(home)
    assert endpoint is not None
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
    connection.request("POST", "/echo/count", json.dumps({"gate": str(tmp_path / "gate")}))
    connection.getresponse().read1(4)
    assert only(adapter).instances[0].in_flight == 1
    connection.close()
    eventually(lambda: only(adapter).instances[0].in_flight == 0)


def test_a_slow_reader_slows_the_generator_and_one_that_goes_ends_it(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path], tmp_path: Path
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    endpoint = daemon.status(home)
    assert endpoint is not None
    log = tmp_path / "chunks"
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
    connection.request("POST", "/echo/endless", json.dumps({"log": str(log)}))
    connection.getresponse().read1(4)
    seen = [0, 1]

    def stalled() -> bool:
        seen.append(log.stat().st_size)
        return seen[-1] == seen[-2] == seen[-3]

    eventually(stalled)
    assert seen[-1] < 2000, "more than 125 MiB are held for a caller that does not read"
    connection.close()
    eventually(Path(f"{log}.closed").exists)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    answer = call(home, "/echo/echo", Content_Length=str(1 << 40))
    assert answer.status == 413
    assert "platform's limit" in answer.json["error"]


def test_malformed_chunks_are_the_callers_mistake(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    endpoint = daemon.status(home)
    assert endpoint is not None
    with socket.create_connection(("127.0.0.1", endpoint.port)) as connection:
        head = b"POST /echo/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"zz\r\nnot a chunk\r\n")
        assert connection.recv(64).split()[1] == b"400"
    assert only(adapter).requests == 0


def test_a_deploy_whose_caller_goes_leaves_nothing(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    endpoint = daemon.start(home, 0)
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port)
    body = json.dumps({"spec": spec(roots["slow"]).to_json(), "secrets": {}, "wait": True})
    token = {"Authorization": f"Bearer {endpoint.token}"}
    connection.request("POST", "/_bentofn/apply", body, token)
    eventually(lambda: len(processes_of(home, roots)) == 2)
    connection.close()
    eventually(lambda: len(processes_of(home, roots)) == 1)
    assert adapter.status() == []


def test_invoke_logs_and_destroy(home: Home, adapter: LocalAdapter, roots: dict[str, Path]) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    reply = adapter.invoke("echo", b'{"texts": ["a"]}', api="echo")
    assert (reply.status, b"".join(reply.body)) == (200, b'["a"]')
    with pytest.raises(UserError, match="name one of: count, echo, endless, slow, where"):
        adapter.invoke("echo", b"{}")
    lines = [line.line for line in adapter.logs("echo")]
    assert lines.index("migrated") < lines.index("constructed")
    assert lines.count("migrated") == 1
    adapter.destroy("echo")
    assert adapter.status() == []
    assert not list(home.logs.glob("echo*"))
    eventually(lambda: len(processes_of(home, roots)) == 1)  # the platform itself
    with pytest.raises(UserError, match="no function 'echo'"):
        adapter.destroy("echo")


@pytest.mark.slow
def test_a_built_bento_is_deployed_by_its_tag_and_stays_in_the_store(
    home: Home, adapter: LocalAdapter
) -> None:
    project = Path(bentofn.__path__[0]) / "templates" / "hello"
    tag = build(project.resolve(), home, BuildOptions(), ignore).tag
    deployed = adapter.apply(FunctionSpec("hello", tag.split(":")[0]), ignore)
    assert (deployed.bento, deployed.snapshot) == (tag, "template")
    reply = adapter.invoke("hello", b'{"name": "you"}')
    assert b"".join(reply.body) == b"Hello, you!"
    adapter.destroy("hello")
    assert Store(home).get("bento", tag).digest == deployed.digest


def test_a_port_in_use_is_one_sentence(home: Home) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} is in use by another program"):
            daemon.start(home, port)
    assert daemon.status(home) is None


def test_stop_ends_everything_and_may_be_repeated(
    home: Home, adapter: LocalAdapter, roots: dict[str, Path]
) -> None:
    adapter.apply(spec(roots["one"]), ignore)
    with pytest.raises(UserError, match="already runs"):
        daemon.start(home, 0)
    assert daemon.stop(home) is True
    assert daemon.stop(home) is False
    eventually(lambda: not processes_of(home, roots))
    shutil.rmtree(home.path)
