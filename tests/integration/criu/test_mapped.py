"""A process whose images were rewritten restores, and lives on as if nothing had happened."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.snapshot.criu import images
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.dump import dump
from bentofn.packager.snapshot.criu.filling import is_filled
from bentofn.packager.snapshot.criu.hot import hot_set, load_hot_set, touched_by
from bentofn.packager.snapshot.criu.readahead import ReadAhead
from bentofn.packager.snapshot.criu.rewrite import RAW, Rewritten, rewrite
from bentofn.packager.snapshot.criu.rpc import Paused, Restored
from bentofn.packager.snapshot.criu.worker import prime

SECONDS = 60.0

PARKED = """
import ctypes, json, os, socket, stat, sys, threading
os.setsid()
libc = ctypes.CDLL(None, use_errno=True)
before = {}
def after():
    return {}
"""
WAIT = """
wire = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
null = os.open("/dev/null", os.O_RDWR)
for number in range(3):
    os.dup2(null, number)
os.close(null)
open(sys.argv[2], "w").close()
while not stat.S_ISSOCK(os.fstat(wire).st_mode):
    libc.poll(None, 0, -1)
host = socket.socket(fileno=wire)
while host.recv(1):
    try:
        answer = after()
    except BaseException as error:
        answer = {"error": repr(error)}
    host.sendall(json.dumps(answer).encode() + b"\\n")
os._exit(0)
"""
LIFE = """
import faulthandler, gc, hashlib, mmap, subprocess, tempfile
shared = mmap.mmap(-1, 1 << 20)
shared.write(b"shared")
big = bytearray(os.urandom(10 << 20))
small = [os.urandom(100) for _ in range(20000)]
grown = bytearray(1 << 20)
stop = threading.Event()
waiting = threading.Thread(target=stop.wait)
waiting.start()

def digest():
    return hashlib.sha256(bytes(big) + b"".join(small)).hexdigest()

class Info(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]

def libraries():
    found = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
    def each(info, size, data):
        found.append(os.fsdecode(info.contents.name or b""))
        return 0
    libc.dl_iterate_phdr(kind(each), None)
    return sorted(name for name in found if "vdso" not in name)

expected = digest(), libraries()

def forked():
    child = os.fork()
    if not child:
        shared[:6] = b"SHARED"
        small.append(b"child")
        big[0] ^= 1
        os._exit(7 if digest() != expected[0] else 8)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def after():
    answer = {"same": (digest(), libraries()) == expected, "child": forked()}
    answer["shared"] = shared[:6] == b"SHARED"
    answer["own"] = digest() == expected[0]
    stop.set()
    waiting.join()
    results = []
    threads = [threading.Thread(target=lambda: results.append(sum(small[0]))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer["threads"] = len(results)
    # Beyond the snapshot's heap, and a block that the allocator lets grow in its place.
    more = [os.urandom(300) for _ in range(50000)]
    answer["more"] = len(set(more))
    grown.extend(bytes(40 << 20))
    answer["grown"] = (len(grown), any(grown[1 << 20 :]), any(grown[: 1 << 20]))
    answer["zeros"] = not any(bytearray(3 << 20))
    import decimal, sqlite3, unicodedata
    answer["loaded"] = sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0]
    ctypes.CDLL("libm.so.6").cos
    answer["shell"] = subprocess.run(["sh", "-c", "echo $PPID"], capture_output=True).stdout != b""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        answer["traceback"] = b"in after" in file.read()
    answer["maps"] = open("/proc/self/maps").read()
    answer["freed"] = gc.collect() >= 0 and libc.malloc_trim(0) in (0, 1)
    answer["again"] = digest() == expected[0]
    return answer
"""


class Snapshot:
    """A dumped and rewritten process; ``start`` restores it and gives its answers."""

    def __init__(self, criu: Criu, root: Path) -> None:
        self.criu = criu
        self.root = root
        self.dumped = root / "dumped"
        self.images = root / "images"
        self.rewritten: Rewritten | None = None

    def take(self, lines: str, *, on_gpu: bool = False) -> None:
        wire, ready = self.root / "wire", self.root / "ready"
        script = PARKED + textwrap.dedent(lines) + WAIT
        python = [sys.executable, "-I", "-c", script, str(wire), str(ready)]
        outside = subprocess.Popen(["unshare", "--pid", "--fork", *python], stdin=subprocess.PIPE)
        deadline = time.monotonic() + SECONDS
        while not ready.exists():
            assert outside.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        dump(self.criu, int(children[0]), self.dumped, SECONDS)
        outside.communicate()
        self.rewritten = rewrite(self.dumped, self.images, self.images, wire, on_gpu=on_gpu)

    def start(self, stack: ExitStack) -> Callable[[], dict[str, Any]]:
        worker = prime(self.criu.command)
        stack.callback(worker.wire.close)
        worker.request(self.images)
        restored = worker.response(self.images, SECONDS)
        errors = worker.errors()
        worker.release()
        assert isinstance(restored, Restored), errors
        stack.callback(_end, restored.pid)
        lines = worker.wire.makefile("rb")
        stack.callback(lines.close)
        worker.wire.settimeout(SECONDS)

        def ask() -> dict[str, Any]:
            worker.wire.sendall(b"?")
            return {"pid": restored.pid, **json.loads(lines.readline())}

        return ask


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture
def snapshot(criu: Criu, tmp_path: Path) -> Snapshot:
    return Snapshot(criu, tmp_path)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as running:
        yield running


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_restored_process_lives_on(snapshot: Snapshot, stack: ExitStack, on_gpu: bool) -> None:
    snapshot.take(LIFE, on_gpu=on_gpu)
    assert is_filled(snapshot.images) == on_gpu
    assert snapshot.rewritten is not None
    assert snapshot.rewritten.mapped_bytes > 20 * snapshot.rewritten.copied_bytes
    assert snapshot.rewritten.mappings < snapshot.rewritten.mappings_before
    kept = {path: path.stat().st_mtime_ns for path in snapshot.images.iterdir()}
    for ask in [snapshot.start(stack) for _ in range(2)]:
        answer = ask()
        maps, pid = answer.pop("maps"), answer.pop("pid")
        assert answer == {
            "same": True,
            "child": 7,
            "shared": True,
            "own": True,
            "threads": 20,
            "more": 50000,
            "grown": [41 << 20, False, False],
            "zeros": True,
            "loaded": 42,
            "shell": True,
            "traceback": True,
            "freed": True,
            "again": True,
        }
        assert "[stack]" in maps
        assert "[vdso]" in maps
        assert re.search(rf"r--p .*/{RAW}", maps)
        assert not re.search(rf"rw-s .*/{RAW}", maps)
        assert pid > 1
    assert kept == {path: path.stat().st_mtime_ns for path in snapshot.images.iterdir()}


def test_nothing_is_left_of_a_process_whose_memory_nobody_fills(snapshot: Snapshot) -> None:
    snapshot.take(LIFE, on_gpu=True)
    worker = prime(snapshot.criu.command)
    worker.request(snapshot.images)
    while not (isinstance(said := worker.said(SECONDS), Paused) and said.has_memory):
        assert isinstance(said, Paused), worker.errors()
        assert worker.go_on(said, snapshot.images) is None
    assert Path(f"/proc/{said.pid}").exists()
    worker.rpc.close()  # as a platform does that is killed
    worker.wire.close()
    assert worker.process.wait(SECONDS)
    os.waitpid(said.pid, 0)
    assert not Path(f"/proc/{said.pid}").exists()


def test_images_of_this_criu_come_back_byte_by_byte(snapshot: Snapshot) -> None:
    snapshot.take(LIFE)
    dumped = snapshot.dumped
    (pid,) = images.read_processes(dumped / "pstree.img")
    memory, pages, files = (
        dumped / name for name in (f"mm-{pid}.img", f"pagemap-{pid}.img", "files.img")
    )
    assert images.encode_memory(images.read_memory(memory)) == memory.read_bytes()
    assert images.encode_pagemap(images.read_pagemap(pages)) == pages.read_bytes()
    assert images.encode_files(images.read_files(files)) == files.read_bytes()


def test_several_processes_restore_as_criu_dumped_them(
    snapshot: Snapshot, stack: ExitStack
) -> None:
    snapshot.take(
        """
        kept = os.urandom(1 << 20)
        read, write = os.pipe()
        if not os.fork():
            os.read(read, 1)
            os._exit(9)
        def after():
            os.write(write, b"!")
            return {"child": os.waitstatus_to_exitcode(os.wait()[1]), "kept": len(set(kept))}
        """
    )
    assert snapshot.rewritten is not None
    assert "2 processes" in snapshot.rewritten.note
    answer = snapshot.start(stack)()
    assert (answer["child"], answer["kept"]) == (9, 256)


def test_the_hot_set_of_a_restored_process_is_read_ahead(
    snapshot: Snapshot, stack: ExitStack
) -> None:
    snapshot.take(
        """
        hot, cold = bytes(8 << 20), os.urandom(64 << 20)
        def after():
            return {"sum": sum(hot)}
        """
    )
    answer = snapshot.start(stack)()
    hot = hot_set([touched_by(answer["pid"])], snapshot.root)
    raw = next(file for file in hot.files if file.path == snapshot.images / RAW)
    assert 8 << 20 <= sum(length for _, length in raw.ranges) < 40 << 20
    assert {path.name for path in snapshot.images.glob("*.img")} <= {f.path.name for f in hot.files}
    ahead = ReadAhead(snapshot.root)
    assert not ahead.start(), "nothing is known yet"
    ahead.learn(answer["pid"])
    assert ahead.known
    assert load_hot_set(snapshot.root) is not None
    ReadAhead(snapshot.root).start()
    ahead.close()
    ReadAhead(snapshot.root / "gone").learn(answer["pid"])
