"""The engine criu: real services taken, restored, and what is left when something fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import (
    PATIENCE,
    PYTHON,
    Lines,
    alive,
    call,
    eventually,
    holding,
    make_root,
    restoring,
    started,
)

from bentofn.adapters.local.engines import (
    CriuEngine,
    EngineRefused,
    InstanceSpec,
    Launch,
    StartFailed,
    find_python,
)
from bentofn.adapters.local.engines.restored.orphans import end_orphans
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.rpc import Restored
from bentofn.packager.snapshot.criu.worker import prime
from bentofn.packager.snapshot.obtain import Subject
from bentofn.runtime.namespaces import Namespaces

ECHO = """
import os, random, sys, threading
import bentofn

@bentofn.service
class Service:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.told = os.environ["WHEN"]
        threading.Thread(target=threading.Event().wait, name="waiter", daemon=True).start()
        print("constructed", flush=True)

    @bentofn.before_snapshot
    def before(self) -> None:
        self.events.append("before")

    @bentofn.after_restore
    async def after(self) -> None:
        self.events.append("after")
        if os.environ.get("BROKEN"):
            raise ValueError("no network")

    @bentofn.on_startup
    def startup(self) -> None:
        self.events.append("startup")

    @bentofn.api(examples=[{"text": "warm"}])
    def echo(self, text: str) -> str:
        print(f"said {text}", flush=True)
        return text

    @bentofn.api
    def state(self) -> dict:
        return {
            "events": self.events,
            "told": self.told,
            "pid": os.getpid(),
            "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()],
            "env": dict(os.environ),
            "threads": threading.active_count(),
            "random": random.random(),
            "descriptors": sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
                                  for fd in os.listdir("/proc/self/fd")
                                  if os.path.exists(f"/proc/self/fd/{fd}")),
        }

    @bentofn.api
    def end(self) -> None:
        os._exit(9)
"""


@pytest.fixture(scope="module")
def echo(criu: Criu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("echo") / "root", ECHO)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home") / "home")


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bfn") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def images(echo: Path, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the service's snapshot."""

    async def take() -> None:
        async with running(echo, home, tmp_path_factory.mktemp("s")) as engine:
            await engine.prepare()

    asyncio.run(take())
    (found,) = home.snapshots.glob("*/images")
    return found


@asynccontextmanager
async def running(
    root: Path, home: Home, sockets: Path, log: Lines | None = None, timeout: float = 30.0
) -> AsyncIterator[CriuEngine]:
    env = {"WHEN": "at the snapshot"}
    launch = Launch(root, find_python(PYTHON), env, sockets, log or Lines())
    subject = Subject("test:1", str(root), root, launch.python, launch.environment(), {})
    async with restoring(launch, subject, home, timeout) as engine:
        yield engine


def descendants(pid: int) -> set[int]:
    """The living processes below one."""
    found: set[int] = set()
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            found |= {child} | descendants(child)
    return found


@pytest.fixture(scope="module")
def offspring() -> Callable[[], set[int]]:
    """The living processes that were started since: a server of other tests' may run too."""
    others = descendants(os.getpid())
    return lambda: descendants(os.getpid()) - others


def signal_workers(signum: int) -> bool:
    """Send a signal to every CRIU that this process started; whether there was one."""
    pids = descendants(os.getpid())
    workers = [pid for pid in pids if b"swrk" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in workers:
        os.kill(pid, signum)
    return bool(workers)


def damage(home: Home) -> None:
    """Cut an image of a home's only snapshot short."""
    (core,) = home.snapshots.glob("*/images/core-1.img")
    core.write_bytes(core.read_bytes()[:100])


def left(home: Home) -> list[Path]:
    """The snapshots of a home, finished or not."""
    return [path for path in home.snapshots.iterdir() if path.is_dir()]


@pytest.fixture(params=[8, 120])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(disk)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_an_instance_is_restored_and_lives_until_it_is_stopped(
    echo: Path, home: Home, sockets: Path
) -> None:
    lines = Lines()
    async with running(echo, home, sockets, lines) as engine:
        await engine.prepare()
        instance = await started(engine, InstanceSpec("one", {"MINE": "yes"}, threads=3))
        assert await call(instance, "echo", text="hello") == "hello"
        state = await call(instance, "state")
        assert state["events"] == ["before", "after", "startup"]
        assert state["told"] == "at the snapshot"
        assert state["pid"] == 1
        assert state["processes"] == [1]
        assert state["env"]["MINE"] == "yes"
        assert state["env"]["OMP_NUM_THREADS"] == "3"
        assert "TOKENIZERS_PARALLELISM" not in state["env"]
        assert state["threads"] >= 2
        assert len([each for each in state["descriptors"] if each == "socket"]) == 5
        await asyncio.wait_for(instance.stop(10), PATIENCE)
        assert await instance.wait() == 0
        assert not instance.socket_path.exists()
    assert ("snapshot", "stdout", "constructed") in lines.seen
    assert ("one", "stdout", "said hello") in lines.seen


async def test_many_are_restored_at_once_and_share_nothing(
    echo: Path, home: Home, sockets: Path, offspring: Callable[[], set[int]]
) -> None:
    async with running(echo, home, sockets) as engine:
        names = [f"i{number}" for number in range(8)]
        instances = await asyncio.gather(*(started(engine, InstanceSpec(n)) for n in names))
        states = [await call(instance, "state") for instance in instances]
        assert len({state["random"] for state in states}) == len(names)
        assert len({instance.pid for instance in instances}) == len(names)
        killed, ended, *_ = instances
        os.kill(killed.pid, signal.SIGKILL)
        assert await asyncio.wait_for(killed.wait(), PATIENCE) == -signal.SIGKILL
        with pytest.raises(AssertionError):
            await call(ended, "end")
        assert await asyncio.wait_for(ended.wait(), PATIENCE) == 9
        assert await call(instances[2], "echo", text="still here") == "still here"
    eventually(lambda: not offspring())


async def test_a_snapshot_that_was_taken_is_taken_up_again(
    echo: Path, home: Home, sockets: Path
) -> None:
    lines = Lines()
    async with running(echo, home, sockets) as engine:
        await engine.prepare()
    async with running(echo, home, sockets, lines) as engine:
        assert await engine.recall()
        await started(engine, InstanceSpec("again"))
    assert not any(line[0] == "snapshot" for line in lines.seen)


async def test_workers_that_somebody_kills_are_replaced(
    echo: Path, home: Home, sockets: Path
) -> None:
    async with running(echo, home, sockets) as engine:
        await started(engine, InstanceSpec("first"))
        for _ in range(3):
            signal_workers(signal.SIGKILL)
            instance = await started(engine, InstanceSpec("next"))
            assert await call(instance, "echo", text="a") == "a"
            await instance.stop(10)


async def test_plugins_of_criu_have_no_hand_in_it(
    criu: Criu, tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "cuda_plugin.so").touch()  # with which CRIU does not begin
    monkeypatch.setenv("CRIU_LIBS_DIR", str(tmp_path / "plugins"))
    root, home = make_root(tmp_path / "root", ECHO), Home(tmp_path / "home")
    async with running(root, home, sockets) as engine:
        instance = await started(engine, InstanceSpec("one"))
        assert await call(instance, "echo", text="a") == "a"


async def test_a_worker_that_hangs_fails_the_start_with_how_long_it_took(
    echo: Path, home: Home, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentofn.adapters.local.engines.restored.restorer.TIMEOUT", 0.3)
    async with running(echo, home, sockets) as engine:
        await engine.prepare()
        while not signal_workers(signal.SIGSTOP):  # noqa: ASYNC110 - it is primed by and by
            await asyncio.sleep(0.01)
        with pytest.raises(StartFailed, match=r"CRIU could not restore it: it took over 0\.3 s"):
            await started(engine, InstanceSpec("one"))


async def test_a_hook_that_raises_fails_the_start(
    echo: Path, home: Home, sockets: Path, offspring: Callable[[], set[int]]
) -> None:
    async with running(echo, home, sockets) as engine:
        with pytest.raises(StartFailed, match="no network"):
            await started(engine, InstanceSpec("bad", {"BROKEN": "1"}))
        good = await started(engine, InstanceSpec("good"))
        assert await call(good, "echo", text="a") == "a"
    eventually(lambda: not offspring())


async def test_images_that_cannot_be_restored_fail_the_start_with_the_reason(
    criu: Criu, tmp_path: Path, sockets: Path, offspring: Callable[[], set[int]]
) -> None:
    root, home = make_root(tmp_path / "root", ECHO), Home(tmp_path / "home")
    async with running(root, home, sockets) as engine:
        await engine.prepare()
        damage(home)
        with pytest.raises(StartFailed, match=r"CRIU could not restore it: .*core-1"):
            await started(engine, InstanceSpec("bad"))
        assert not (sockets / "bad.sock").exists()
    lines = Lines()
    async with running(root, home, sockets, lines) as engine:
        good = await started(engine, InstanceSpec("good"))
        assert await call(good, "echo", text="a") == "a"
    assert any("not as it was when it was taken" in line for _, _, line in lines.seen)
    eventually(lambda: not offspring())


NEVER = {
    "waits": (
        "import os, time\n        if os.getpid() == 1: time.sleep(600)",
        "did not reach its snapshot point within 2 s",
    ),
    "raises": ("raise ValueError('no weights')", "ValueError: no weights"),
    "exits": ("import os; os._exit(3)", "it exited with status 3 before its snapshot point"),
    "child": (
        "import subprocess; self.child = subprocess.Popen(['sleep', '600'])",
        r"child process.*sleep",
    ),
}


@pytest.mark.parametrize("case", NEVER)
async def test_a_service_of_which_no_snapshot_can_be_taken_says_why(
    case: str, criu: Criu, tmp_path: Path, sockets: Path, offspring: Callable[[], set[int]]
) -> None:
    code, sentence = NEVER[case]
    head = "import bentofn\n\n@bentofn.service\nclass Service:\n    def __init__(self) -> None:\n"
    root, home = make_root(tmp_path / "root", f"{head}        {code}\n"), Home(tmp_path / "home")
    async with running(root, home, sockets, timeout=2.0 if case == "waits" else 30.0) as engine:
        with pytest.raises(EngineRefused, match=sentence):
            await asyncio.wait_for(engine.prepare(), PATIENCE)
    assert left(home) == []
    eventually(lambda: not offspring())


async def test_a_preparation_that_is_called_off_leaves_nothing(
    criu: Criu, tmp_path: Path, sockets: Path, offspring: Callable[[], set[int]]
) -> None:
    code = "import time\nprint('importing', flush=True)\ntime.sleep(600)\n"
    root, home = make_root(tmp_path / "root", code), Home(tmp_path / "home")
    lines = Lines()
    async with running(root, home, sockets, lines) as engine:
        work = asyncio.create_task(engine.prepare())
        await asyncio.wait_for(lines.heard("importing"), PATIENCE)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(work, PATIENCE)
        assert not offspring()
    assert left(home) == []


BLOCKS = {
    "example": """
    @bentofn.api(examples=[{"n": 1}])
    def wait(self, n: int) -> int:
        return self.block() if self.restored else n
""",
    "hook": """
    @bentofn.after_restore
    def after(self):
        self.block()
""",
    "loop": """
    def __init__(self):
        from bentofn.runtime.protocol import Channel, Ready
        send = Channel.send

        def block_when_ready(channel, message):
            send(channel, message)
            if isinstance(message, Ready) and self.restored:
                self.block()

        Channel.send = block_when_ready
""",
}
"""``loop``: it says that it is ready, and accepts no connection."""


@pytest.mark.parametrize("where", BLOCKS)
async def test_a_rehearsal_that_blocks_is_called_off_at_once(
    criu: Criu, tmp_path: Path, sockets: Path, offspring: Callable[[], set[int]], where: str
) -> None:
    begun = tmp_path / "begun"
    code = f"""
import bentofn, os, threading

@bentofn.service
class Service:
    @property
    def restored(self):
        return "BENTOFN_INSTANCE" in os.environ

    def block(self):
        open({str(begun)!r}, "w").close()
        threading.Event().wait()
{BLOCKS[where]}"""
    root, home, lines = make_root(tmp_path / "root", code), Home(tmp_path / "home"), Lines()
    async with running(root, home, sockets, lines, timeout=600.0) as engine:
        work = asyncio.create_task(engine.prepare())
        await asyncio.to_thread(eventually, begun.exists)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(work, PATIENCE)
        assert not offspring()
    assert left(home) == []


async def test_one_that_was_called_off_can_be_prepared_again(
    criu: Criu, tmp_path: Path, sockets: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"""
import bentofn, os, time
print("importing", flush=True)
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)

@bentofn.service
class Service:
    pass
"""
    root, home, lines = make_root(tmp_path / "root", code), Home(tmp_path / "home"), Lines()
    async with running(root, home, sockets, lines) as engine:
        work = asyncio.create_task(engine.prepare())
        await asyncio.wait_for(lines.heard("importing"), PATIENCE)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(work, PATIENCE)
        gate.touch()
        await asyncio.wait_for(engine.prepare(), PATIENCE)
    assert len(left(home)) == 1


async def test_a_disk_without_room_is_named_and_left_as_it_is(
    criu: Criu, tmp_path: Path, small_disk: Path, sockets: Path, offspring: Callable[[], set[int]]
) -> None:
    """What is dumped is written a second time, to be mapped: twice 64 MB are more than 120."""
    holds = "self.events: list[str] = []; self.held = bytearray(64 << 20)"
    code = ECHO.replace("self.events: list[str] = []", holds)
    root, home = make_root(tmp_path / "root", code), Home(small_disk / "home")
    async with running(root, home, sockets) as engine:
        with pytest.raises(EngineRefused, match=r"too full: the snapshot needs 0\.\d GB there"):
            await asyncio.wait_for(engine.prepare(), PATIENCE)
    assert left(home) == []
    eventually(lambda: not offspring())


HOST = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
from test_engine import Home, InstanceSpec, running, started

async def main() -> None:
    async with running(Path(sys.argv[2]), Home(Path(sys.argv[3])), Path(sys.argv[4])) as engine:
        work = asyncio.create_task(engine.prepare())
        if sys.argv[5] == "instance":
            await work
            print((await started(engine, InstanceSpec("one"))).pid, flush=True)
        else:
            print("began", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def host(stage: str, root: Path, home: Home, sockets: Path) -> subprocess.Popen[str]:
    """A process that runs an engine, for a test to kill."""
    here = Path(__file__).parent
    arguments = [f"{here}:{here.parents[1] / 'servers'}", root, home.path, sockets]
    return subprocess.Popen(
        [sys.executable, "-c", HOST, *map(str, arguments), stage],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_instances_and_workers_die_with_a_killed_platform(
    echo: Path, home: Home, sockets: Path
) -> None:
    with host("instance", echo, home, sockets) as process:
        assert process.stdout is not None
        instance = int(process.stdout.readline())
        assert alive(instance)
        below = descendants(process.pid)
        assert instance in below
        process.kill()
    eventually(lambda: not any(map(alive, below)))


def test_a_killed_taker_leaves_no_process(criu: Criu, tmp_path: Path, sockets: Path) -> None:
    root = make_root(tmp_path / "root", "import time\ntime.sleep(600)\n")
    with host("take", root, Home(tmp_path / "home"), sockets) as process:
        eventually(lambda: len(descendants(process.pid)) >= 2)
        below = descendants(process.pid)
        process.kill()
    eventually(lambda: not any(map(alive, below)))


@given(delay=st.floats(0, 0.015))
@settings(max_examples=40, deadline=None)
def test_a_worker_that_is_killed_at_any_moment_leaves_no_process(
    criu: Criu, images: Path, delay: float, offspring: Callable[[], set[int]]
) -> None:
    worker = prime(criu.command)
    worker.request(images)
    time.sleep(delay)
    worker.process.kill()
    result = worker.response(images)
    if isinstance(result, Restored):
        worker.release()
        worker.wire.close()  # its end of file is the process's end
        os.waitpid(result.pid, 0)
    else:
        for pid in worker.discard():
            os.waitpid(pid, 0)
    assert not offspring()
    eventually(lambda: not holding(worker.links))  # what was nobody's child ends a moment later


@given(delay=st.floats(0, 0.05))
@settings(max_examples=10, deadline=None)
def test_a_worker_that_nobody_asks_ends_with_its_socket_at_any_moment(
    criu: Criu, delay: float, offspring: Callable[[], set[int]]
) -> None:
    worker = prime(criu.command)
    time.sleep(delay)
    worker.dismiss()
    assert worker.process.returncode != -signal.SIGKILL
    assert not offspring()


def test_what_ends_while_a_worker_is_discarded_is_left_to_whom_it_belongs(
    criu: Criu, images: Path
) -> None:
    namespaces = Namespaces.find()
    assert namespaces is not None
    worker = prime(criu.command)
    worker.request(images)
    with namespaces.for_children():
        other = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    worker.process.kill()
    assert other.pid in worker.discard()
    assert other.wait() == 7


RESTORE = """
import os, signal, sys, time
from pathlib import Path
from bentofn.packager.snapshot.criu.binary import find_criu
from bentofn.packager.snapshot.criu.worker import prime

images = Path(sys.argv[1])
primed, asked = (prime(find_criu().command, images.parent.parent) for _ in range(2))
asked.request(images)
print("|".join(primed.links | asked.links), flush=True)
time.sleep(float(sys.argv[2]))
os.killpg(0, signal.SIGKILL)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.006, 0.01, 0.02])
def test_workers_end_with_the_group_of_a_process_that_is_killed(images: Path, delay: float) -> None:
    arguments = [sys.executable, "-c", RESTORE, str(images), str(delay)]
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, text=True, start_new_session=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    links = done.stdout.strip().split("|")
    assert len(links) == 6
    eventually(lambda: not end_orphans(images.parent.parent) and not holding(links))


KILLED_TOGETHER = """
import os, signal, sys, time
from pathlib import Path
from bentofn.packager.snapshot.criu.binary import find_criu
from bentofn.packager.snapshot.criu.worker import prime

images = Path(sys.argv[1])
worker = prime(find_criu().command, images.parent.parent)
worker.request(images)
print("|".join(worker.links), flush=True)
time.sleep(float(sys.argv[2]))
worker.process.kill()
os.kill(os.getpid(), signal.SIGKILL)
"""


@given(delay=st.floats(0, 0.012))
@settings(max_examples=20, deadline=None)
def test_what_a_worker_leaves_that_is_killed_with_its_platform_ends_with_the_next(
    images: Path, delay: float
) -> None:
    arguments = [sys.executable, "-c", KILLED_TOGETHER, str(images), str(delay)]
    said = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=False).stdout
    links = said.strip().split("|")
    eventually(lambda: not end_orphans(images.parent.parent) and not holding(links))
