"""What a process holds when it is dumped: what a restore brings back, and what it would not.

The sentences of what it would not are tested in tests/unit/runtime/obstacles.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.dump import DumpFailed, dump
from bentofn.packager.snapshot.criu.rewrite import rewrite
from bentofn.packager.snapshot.criu.rpc import Restored
from bentofn.packager.snapshot.criu.worker import Worker, prime

SECONDS = 30.0

_HOLDER = """
import asyncio, ctypes, json, mmap, multiprocessing, os, select, signal, socket, stat, sys
import tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor

os.setsid()
libc = ctypes.CDLL(None, use_errno=True)
wire, state, folder = sys.argv[1:]
os.chdir(folder)
checks = {}
def check(function):
    checks[function.__name__] = function

pair, datagrams = socket.socketpair(), socket.socketpair(type=socket.SOCK_DGRAM)
@check
def socket_pairs():
    for one, other in (pair, datagrams):
        one.send(b"hi")
        assert other.recv(2) == b"hi"

half_closed = socket.socketpair()[0]
@check
def pair_of_which_one_end_is_closed():
    assert half_closed.recv(1) == b""

unbound, netlink = socket.socket(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
@check
def sockets_without_an_address():
    assert unbound.getsockname() == ("0.0.0.0", 0)

pipe = os.pipe()
os.write(pipe[1], b"kept")
os.mkfifo("fifo")
fifo = os.open("fifo", os.O_RDWR)
os.write(fifo, b"kept")
@check
def pipes_and_what_is_in_them():
    assert os.read(pipe[0], 4) == os.read(fifo, 4) == b"kept"

epoll, eventfd = select.epoll(), libc.eventfd(3, 0)
watched = os.pipe()
epoll.register(watched[0], select.EPOLLIN)
@check
def epoll_and_eventfd():
    os.write(watched[1], b"x")
    assert epoll.poll(1) == [(watched[0], select.EPOLLIN)]
    assert int.from_bytes(os.read(eventfd, 8), sys.byteorder) == 3

timer = libc.timerfd_create(1, 0)
libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(0, 10**7, 0, 10**7), None)
rings = []
signal.signal(signal.SIGALRM, lambda *_: rings.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
@check
def timers():
    assert os.read(timer, 8)
    rings.clear()
    while not rings:
        time.sleep(0.01)
    signal.setitimer(signal.ITIMER_REAL, 0)

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
signals = libc.signalfd(-1, (ctypes.c_ulong * 16)(1 << (signal.SIGUSR1 - 1)), 0)
@check
def signalfd():
    os.kill(os.getpid(), signal.SIGUSR1)
    assert len(os.read(signals, 128)) == 128

inotify = libc.inotify_init()
libc.inotify_add_watch(inotify, folder.encode(), 0x100)  # IN_CREATE
@check
def inotify_watch():
    open(f"new-{time.monotonic_ns()}", "w").close()
    assert b"new-" in os.read(inotify, 4096)

memory, shared = os.memfd_create("m"), mmap.mmap(-1, 4096)
os.write(memory, b"kept")
shared[:4] = b"kept"
@check
def shared_memory_of_its_own():
    assert os.pread(memory, 4, 0) == shared[:4] == b"kept"

nameless = tempfile.TemporaryFile(dir=folder)
nameless.write(b"kept")
nameless.flush()
deleted = open("deleted", "w+b")
deleted.write(b"kept")
deleted.flush()
os.unlink("deleted")
@check
def small_files_without_a_name():
    assert os.pread(nameless.fileno(), 4, 0) == os.pread(deleted.fileno(), 4, 0) == b"kept"
    os.pwrite(deleted.fileno(), b"mine", 0)

lock = multiprocessing.get_context("fork").Lock()
@check
def lock_between_processes():
    with lock:
        pass

null, random = open("/dev/null", "wb", 0), open("/dev/urandom", "rb", 0)
meminfo, here = open("/proc/meminfo"), os.open(".", os.O_RDONLY)
@check
def files_of_the_system():
    null.write(b"x")
    assert len(random.read(4)) == 4
    assert "MemTotal" in meminfo.read()
    assert os.listdir(here)

pool = ThreadPoolExecutor(3)
list(pool.map(time.sleep, [0.05] * 3))
ticks = []
def tick():
    while True:
        time.sleep(0.01)
        ticks.append(1)
threading.Thread(target=tick, daemon=True).start()
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
async def answer():
    await asyncio.sleep(0.01)
    return 5
@check
def threads():
    assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
    ticks.clear()
    while not ticks:
        time.sleep(0.01)
    assert asyncio.run_coroutine_threadsafe(answer(), loop).result(10) == 5

from bentofn.runtime.obstacles import Sites, find
found = [each.found for each in find((), Sites())]
wire_fd = os.open(wire, os.O_RDWR)
open(state, "w").write(json.dumps(found))
for number in range(3):
    os.dup2(null.fileno(), number)
while not stat.S_ISSOCK(os.fstat(wire_fd).st_mode):
    libc.poll(None, 0, 1000)
platform = socket.socket(fileno=wire_fd)
wrong = {}
for name, function in checks.items():
    try:
        function()
    except Exception as error:
        wrong[name] = repr(error)
platform.sendall(json.dumps(wrong).encode() + b"\\n")
platform.recv(1)
"""


def test_what_is_no_obstacle_is_restored_in_each_copy(criu: Criu, tmp_path: Path) -> None:
    wire, state, folder = tmp_path / "wire", tmp_path / "state", tmp_path / "folder"
    wire.touch()
    folder.mkdir()
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", _HOLDER]
    outside = subprocess.Popen(
        [*command, str(wire), str(state), str(folder)], stdin=subprocess.DEVNULL
    )
    deadline = time.monotonic() + SECONDS
    while not state.exists() or not state.read_text():
        assert outside.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert json.loads(state.read_text()) == []
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
    dump(criu, int(children[0]), tmp_path / "dumped", SECONDS)
    outside.wait(SECONDS)
    rewrite(tmp_path / "dumped", tmp_path / "images", tmp_path / "images", wire)
    with ExitStack() as stack:
        workers = []
        for _ in range(2):  # in turn: a deleted file has a name for a moment, the same in each
            workers.append(prime(criu.command))
            stack.callback(_end, workers[-1])
            workers[-1].request(tmp_path / "images")
            restored = workers[-1].response(tmp_path / "images", SECONDS)
            assert isinstance(restored, Restored), (restored, workers[-1].errors())
        assert [_answer(worker) for worker in workers] == [{}, {}]


def _answer(worker: Worker) -> Any:
    worker.wire.settimeout(SECONDS)
    return json.loads(worker.wire.makefile("rb").readline())


def _end(worker: Worker) -> None:
    """Close the wire, which ends what was restored."""
    worker.wire.shutdown(socket.SHUT_RDWR)
    worker.discard()


@pytest.mark.parametrize(
    "lines",
    [
        "kept.append(socket.create_server(('127.0.0.1', 0)))\n"
        "kept.append(socket.create_connection(kept[0].getsockname()))",
        "kept.append(open(sys.argv[1] + '-lock', 'w'))\nfcntl.flock(kept[0], fcntl.LOCK_EX)",
        "kept.append(open(sys.argv[1] + '-big', 'w+b'))\nkept[0].truncate(3 << 20)\n"
        "os.pwrite(kept[0].fileno(), b'x' * (2 << 20), 0)\nos.unlink(kept[0].name)",
        "libc.shmat.restype = ctypes.c_void_p\nlibc.shmat(libc.shmget(0, 4096, 0o1600), None, 0)",
    ],
    ids=["connection", "lock", "large-deleted-file", "system-v-memory"],
)
def test_what_is_an_obstacle_cannot_be_dumped(
    criu: Criu, sleeper: Callable[..., Any], tmp_path: Path, lines: str
) -> None:
    process = sleeper(lines)
    with pytest.raises(DumpFailed):
        dump(criu, process.pid, tmp_path / "images", SECONDS)
