from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import instances
import pytest
from instances import PATIENCE, PYTHON, Lines, alive, call, parent_of, started

from bentofn.adapters.local.engines import (
    EngineRefused,
    InstanceSpec,
    Launch,
    PlainEngine,
    StartFailed,
    TemplateEngine,
    boot_command,
    find_python,
)
from bentofn.adapters.local.engines.sockets import listen

ECHO = """
import os, random, sys
import bentofn

@bentofn.service
class Echo:
    def __init__(self) -> None:
        self.built_by = os.getpid()
        self.events: list[str] = []
        print("constructed", flush=True)

    @bentofn.before_snapshot
    def before(self) -> None:
        self.events.append("before")

    @bentofn.after_restore
    async def after(self) -> None:
        self.events.append("after")

    @bentofn.on_startup
    def startup(self) -> None:
        self.events.append("startup")

    @bentofn.api(examples=[{"text": "warm"}])
    def echo(self, text: str) -> str:
        print(f"said {text}", flush=True)
        print(f"noted {text}", file=sys.stderr, flush=True)
        return text

    @bentofn.api
    def state(self) -> dict:
        import threading
        return {
            "events": self.events,
            "built_by": self.built_by,
            "pid": os.getpid(),
            "session": os.getsid(0),
            "cwd": os.getcwd(),
            "env": dict(os.environ),
            "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
                                  for fd in os.listdir("/proc/self/fd")
                                  if os.path.exists(f"/proc/self/fd/{fd}")),
        }

    @bentofn.api
    def modules(self) -> list:
        return sorted(sys.modules)

    @bentofn.api
    def end(self) -> None:
        os._exit(9)
"""

RANDOM = """
import random, ssl, tempfile, uuid
import numpy as np
import bentofn

@bentofn.service
class Random:
    def __init__(self) -> None:
        self.plain = random.Random()
        self.generator = np.random.default_rng()
        tempfile.mktemp()

    @bentofn.api(examples=[{}])
    def draw(self) -> list:
        return [
            str(value) for value in (
                random.random(), np.random.random(), self.plain.random(), self.generator.random(),
                ssl.RAND_bytes(16).hex(), tempfile.mktemp(), uuid.uuid1(), uuid.uuid4(),
            )
        ]
"""

TORCH = """
import os
import torch
import bentofn

@bentofn.service
class Torch:
    def __init__(self) -> None:
        self.weights = torch.randn(600, 600)
        self.generator = torch.Generator()

    @bentofn.api(examples=[{}])
    def multiply(self) -> dict:
        product = (self.weights @ self.weights).relu().sum().item()
        return {
            "product": product,
            "threads": torch.get_num_threads(),
            "tasks": len(os.listdir("/proc/self/task")),
            "random": [torch.rand(1).item(), torch.rand(1, generator=self.generator).item()],
        }
"""


@pytest.fixture
def make_root(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a bento's root by hand."""
    return partial(instances.make_root, tmp_path / "root")


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bfn") as directory:
        yield Path(directory)


ENGINES = {"none": PlainEngine, "template": TemplateEngine}


@asynccontextmanager
async def running(
    kind: str,
    root: Path,
    sockets: Path,
    env: Mapping[str, str] | None = None,
    log: Callable[[str, str, str], None] = lambda *_: None,
) -> AsyncIterator[Any]:
    launch = Launch(root, find_python(PYTHON), env or {"SHARED": "1"}, sockets, log)
    engine = ENGINES[kind](launch)
    try:
        yield engine
    finally:
        await asyncio.wait_for(engine.close(), PATIENCE)


def commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((entry / "cmdline").read_text(errors="replace"))
    return found


async def gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    while alive(pid):  # noqa: ASYNC110 - bounded by the caller
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ENGINES)
async def test_an_instance_lives_from_start_to_stop(
    kind: str, make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    root = make_root(ECHO, "Echo")
    lines = Lines()
    async with running(kind, root, sockets, log=lines) as engine:
        assert engine.name == kind
        instance = await started(engine, InstanceSpec("one", {"MINE": "yes"}, threads=3))
        assert await call(instance, "echo", text="hello") == "hello"
        await asyncio.wait_for(lines.expect("one", "stdout", "said hello"), PATIENCE)
        await asyncio.wait_for(lines.expect("one", "stderr", "noted hello"), PATIENCE)

        state = await call(instance, "state")
        assert state["events"] == ["before", "after", "startup"]
        # 1 where it has a pid namespace of its own.
        assert state["pid"] == state["session"]
        assert state["pid"] in (1, instance.pid)
        assert (parent_of(instance.pid) == os.getpid()) is (kind == "none")
        assert Path(state["cwd"]) == root / "src"
        env = state["env"]
        assert env["MINE"] == "yes"
        assert env["SHARED"] == "1"
        assert env["BENTOFN_ROOT"] == str(root)
        assert env["OMP_NUM_THREADS"] == "3"
        assert "TOKENIZERS_PARALLELISM" not in env
        assert "HOME" not in env

        await asyncio.wait_for(instance.stop(10), PATIENCE)
        assert await instance.wait() == 0
        assert not instance.socket_path.exists()
        await instance.stop(10)
    owner = "one" if kind == "none" else "template"
    assert (owner, "stdout", "constructed") in lines.seen


async def test_clones_share_one_construction_and_nothing_else(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    async with running("template", make_root(ECHO, "Echo"), sockets) as engine:
        await engine.prepare()
        await engine.prepare()
        clones = await asyncio.gather(
            *(started(engine, InstanceSpec(f"c{i}", {"NUMBER": str(i)})) for i in range(4))
        )
        states = [await call(clone, "state") for clone in clones]
        assert len({state["built_by"] for state in states}) == 1
        assert [state["env"]["NUMBER"] for state in states] == ["0", "1", "2", "3"]
        assert len({tuple(state["descriptors"]) for state in states}) == 1
        await clones[0].stop(10)
        assert await call(clones[1], "echo", text="still here") == "still here"


async def test_a_clone_holds_no_more_descriptors_than_a_plain_instance(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    root = make_root(ECHO, "Echo")
    held = []
    for kind in ENGINES:
        async with running(kind, root, sockets) as engine:
            instance = await started(engine, InstanceSpec("one"))
            held.append((await call(instance, "state"))["descriptors"])
    assert held[0] == held[1]


async def test_a_clone_imports_nothing_to_answer(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    async with running("template", make_root(ECHO, "Echo"), sockets) as engine:
        first = await started(engine, InstanceSpec("first"))
        second = await started(engine, InstanceSpec("second"))
        before = await call(first, "modules")
        await call(second, "echo", text="a")
        assert await call(second, "modules") == before


@pytest.mark.parametrize("kind", ENGINES)
async def test_an_instance_that_dies_is_noticed(
    kind: str, make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    async with running(kind, make_root(ECHO, "Echo"), sockets) as engine:
        killed = await started(engine, InstanceSpec("killed"))
        os.kill(killed.pid, signal.SIGKILL)
        assert await asyncio.wait_for(killed.wait(), PATIENCE) == -signal.SIGKILL
        left = await started(engine, InstanceSpec("left"))
        with pytest.raises(AssertionError):
            await call(left, "end")
        assert await asyncio.wait_for(left.wait(), PATIENCE) == 9


BROKEN = {
    "constructor": (
        "def __init__(self):\n        raise ValueError('no weights')",
        "ValueError: no weights (service.py:6)",
    ),
    "variable": (
        "def __init__(self):\n        import os\n        self.url = os.environ['ABSENT']",
        "KeyError: 'ABSENT' (service.py:7)",
    ),
    "exit": (
        "def __init__(self):\n        import os, sys\n"
        "        print('cannot go on', file=sys.stderr, flush=True)\n        os._exit(3)",
        "cannot go on (it exited with status 3)",
    ),
    "hook": (
        "@bentofn.on_startup\n    def connect(self):\n        raise ValueError('no database')",
        "The service's start-up failed: no database",
    ),
    "restore": (
        "@bentofn.after_restore\n    def connect(self):\n        raise ValueError('no network')",
        "ValueError: no network (service.py:7)",
    ),
    "import": ("import missing_package", "missing_package"),
}


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_service_that_does_not_start_says_why(
    kind: str, broken: str, make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    code, sentence = BROKEN[broken]
    root = make_root(f"import bentofn\n\n@bentofn.service\nclass Bad:\n    {code}\n", "Bad")
    async with running(kind, root, sockets) as engine:
        with pytest.raises(StartFailed) as failure:
            await started(engine, InstanceSpec("bad"))
        assert sentence in str(failure.value)


async def test_a_service_with_threads_cannot_be_a_template(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    code = """
import threading, time
import bentofn

@bentofn.service
class Busy:
    def __init__(self) -> None:
        for number in range(2):
            threading.Thread(target=time.sleep, args=(600,), name=f"w{number}", daemon=True).start()

    @bentofn.api
    def echo(self, text: str) -> str:
        return text
"""
    root = make_root(code, "Busy")
    async with running("template", root, sockets) as engine:
        with pytest.raises(EngineRefused, match=r"keeps 2 threads \(w0, w1\); start them"):
            await asyncio.wait_for(engine.prepare(), PATIENCE)
    async with running("none", root, sockets) as engine:
        instance = await started(engine, InstanceSpec("plain"))
        assert await call(instance, "echo", text="a") == "a"


async def test_a_service_with_a_child_or_a_connection_cannot_be_a_template(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    code = """
import socket, subprocess
import bentofn

@bentofn.service
class Tied:
    def __init__(self) -> None:
        self.child = subprocess.Popen(["cat", "-", __file__], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        self.pair = socket.socketpair()

    @bentofn.api
    def echo(self, text: str) -> str:
        return text
"""
    root = make_root(code, "Tied")
    async with running("template", root, sockets) as engine:
        with pytest.raises(
            EngineRefused, match=r"1 child process \(cat .*\), and keeps 2 connections \("
        ):
            await asyncio.wait_for(engine.prepare(), PATIENCE)
        assert not any(str(root) in command for command in commands())


async def test_a_template_that_died_is_started_again(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    async with running("template", make_root(ECHO, "Echo"), sockets) as engine:
        first = await started(engine, InstanceSpec("first"))
        template = parent_of(first.pid)
        os.kill(template, signal.SIGKILL)
        assert await asyncio.wait_for(first.wait(), PATIENCE) is None
        second = await started(engine, InstanceSpec("second"))
        assert parent_of(second.pid) != template


async def test_a_start_that_is_given_up_leaves_the_template_in_order(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    async with running("template", make_root(ECHO, "Echo"), sockets) as engine:
        await engine.prepare()
        given_up = asyncio.create_task(engine.start(InstanceSpec("given-up")))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        instance = await started(engine, InstanceSpec("kept"))
        assert await call(instance, "echo", text="a") == "a"


@pytest.mark.parametrize("kind", ENGINES)
async def test_nothing_outlives_a_killed_platform(
    kind: str, make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    root = make_root(ECHO, "Echo")
    code = f"""
import asyncio, sys
from pathlib import Path
from bentofn.adapters.local.engines import *

async def main():
    root, sockets = Path({str(root)!r}), Path({str(sockets)!r})
    launch = Launch(root, find_python({PYTHON!r}), {{}}, sockets, lambda *_: None)
    engine = {ENGINES[kind].__name__}(launch)
    instance = await engine.start(InstanceSpec("one"))
    await instance.ready()
    print(instance.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
    platform = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert platform.stdout is not None
    pid = int(await asyncio.wait_for(platform.stdout.readline(), PATIENCE))
    platform.kill()
    await platform.wait()
    await asyncio.wait_for(gone(pid), PATIENCE)


async def test_four_clones_draw_four_different_things(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    async with running("template", make_root(RANDOM, "Random"), sockets) as engine:
        clones = [await started(engine, InstanceSpec(f"c{i}")) for i in range(4)]
        draws = [await call(clone, "draw") for clone in clones]
        for column in zip(*draws, strict=True):
            assert len(set(column)) == 4, column


@pytest.mark.slow
async def test_a_warmed_torch_computes_with_the_clones_own_threads(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    pytest.importorskip("torch")
    async with running("template", make_root(TORCH, "Torch"), sockets) as engine:
        clones = [await started(engine, InstanceSpec(f"c{i}", threads=2)) for i in range(2)]
        answers = [await call(clone, "multiply") for clone in clones]
        assert {answer["threads"] for answer in answers} == {2}
        assert answers[0]["product"] == pytest.approx(answers[1]["product"])
        assert answers[0]["tasks"] > 2
        assert not set(answers[0]["random"]) & set(answers[1]["random"])


@pytest.mark.slow
async def test_a_torch_that_was_told_to_use_threads_cannot_be_a_template(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    pytest.importorskip("torch")
    code = TORCH.replace("self.generator", "torch.set_num_threads(2); self.generator", 1)
    async with running("template", make_root(code, "Torch"), sockets) as engine:
        with pytest.raises(EngineRefused, match="keeps 1 thread "):
            await asyncio.wait_for(engine.prepare(), PATIENCE)


def test_an_instance_ends_when_the_platform_hangs_up(
    make_root: Callable[[str, str], Path], sockets: Path
) -> None:
    root = make_root(ECHO, "Echo")
    ours, theirs = socket.socketpair()
    with ours, theirs, listen(sockets / "one.sock") as listener:
        fds = [theirs.fileno(), listener.fileno()]
        options = ["--control-fd", str(fds[0]), "--listen-fd", str(fds[1])]
        command = boot_command(find_python(PYTHON), root, "instance", *options)
        with subprocess.Popen(command, pass_fds=fds, env={}, stdout=subprocess.PIPE) as process:
            theirs.close()
            assert json.loads(ours.recv(1000)) == {"event": "ready", "pid": process.pid}
            ours.close()
            assert process.wait(PATIENCE) == 1


def boot(root: Path, process: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = boot_command(find_python(PYTHON), root, process, *options)
    return subprocess.run(command, capture_output=True, text=True, env={})


def test_describe_names_what_a_start_imports(make_root: Callable[[str, str], Path]) -> None:
    root = make_root(ECHO, "Echo")
    output = root.parent / "answer.json"
    done = boot(root, "describe", "--output", str(output))
    assert done.returncode == 0, done.stderr
    answer = json.loads(output.read_bytes())
    assert answer["contract"]["import_string"] == "service:Echo"
    assert "src/service.py" in answer["files"]
    assert "runtime/bentofn/runtime/template.py" in answer["files"]
    for module in (
        "uvloop/__init__",
        *("threadpoolctl", "prometheus_client/exposition"),
    ):
        assert f"env/{module}.py" in answer["files"]


def test_describe_names_modules_that_fail_or_replace_themselves(
    make_root: Callable[[str, str], Path],
) -> None:
    service = f"""
import replaced
try:
    import failing
except ImportError:
    pass
{ECHO}"""
    root = make_root(service, "Echo")
    (root / "src" / "failing.py").write_text("raise ImportError")
    (root / "src" / "replaced.py").write_text("import sys; sys.modules[__name__] = object()")
    done = boot(root, "describe")
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    assert {"src/failing.py", "src/replaced.py"} < set(files)


def test_describe_works_before_there_is_a_root(make_root: Callable[[str, str], Path]) -> None:
    root = make_root(ECHO, "Echo")
    (root / "bento.json").unlink()
    parts = [
        part
        for name, place in (("source", "src"), ("runtime", "runtime"), ("env", "env"))
        for part in (f"--{name}", str(root / place))
    ]
    done = boot(root, "describe", *parts, "--service", "service:Echo")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["contract"]["name"] == "Echo"


def test_describe_refuses_what_cannot_be_described(make_root: Callable[[str, str], Path]) -> None:
    root = make_root("raise ValueError('half written')", "Echo")
    output = root.parent / "answer.json"
    done = boot(root, "describe", "--output", str(output))
    assert done.returncode == 1
    assert "half written" in json.loads(output.read_bytes())["error"]
    assert "Traceback" not in done.stderr


def test_deployment_hooks_run_once_and_say_why_they_fail(
    make_root: Callable[[str, str], Path],
) -> None:
    code = """
import bentofn

@bentofn.service
class Deployed:
    def __init__(self) -> None:
        print("constructed")

    @bentofn.on_deployment
    @staticmethod
    def download() -> None:
        print("downloaded")
"""
    root = make_root(code, "Deployed")
    done = boot(root, "on-deployment")
    assert (done.returncode, done.stdout) == (0, "downloaded\n")
    (root / "src" / "service.py").write_text(code.replace('print("downloaded")', "1 / 0"))
    done = boot(root, "on-deployment")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ZeroDivisionError: division by zero")


def test_a_bento_is_served_in_the_foreground(make_root: Callable[[str, str], Path]) -> None:
    root = make_root(ECHO, "Echo")
    command = boot_command(find_python(PYTHON), root, "serve", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={}) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "serves at" in line)
        port = int(line.rpartition(" (")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        taken = boot(root, "serve", "--port", str(port))
        assert taken.returncode == 1
        assert taken.stderr == (
            f"Error: Port {port} is in use by another process; "
            "choose another with --port or PORT.\n"
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_a_service_that_fails_in_the_foreground_says_why(
    make_root: Callable[[str, str], Path],
) -> None:
    code, sentence = BROKEN["constructor"]
    root = make_root(f"import bentofn\n\n@bentofn.service\nclass Bad:\n    {code}\n", "Bad")
    done = boot(root, "serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"Error: {sentence}"


def test_a_bento_for_another_python_is_refused(make_root: Callable[[str, str], Path]) -> None:
    root = make_root(ECHO, "Echo")
    manifest = json.loads((root / "bento.json").read_text())
    (root / "bento.json").write_text(json.dumps({**manifest, "python": "3.2"}))
    done = boot(root, "serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: test:1 was built for Python 3.2 and this is Python")
