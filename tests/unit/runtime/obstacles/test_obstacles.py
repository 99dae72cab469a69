"""Each thing is held by a process of its own, whose obstacles are asked for."""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.runtime.obstacles import Obstacle, sentence, warnings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="snapshots are taken on Linux only")

_LOOK = """
import json, os, sys
from bentofn.runtime.obstacles import Sites, find, warnings
sites = Sites.record({folder!r}, "/nowhere", lines={lines})
sys.path.insert(0, {folder!r})
import held
sites.stop()
found = find((), sites)
print(json.dumps([[each.found, each.remedy, each.blocks] for each in found]), flush=True)
os._exit(0)
"""

_LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"

_HOOK = "in a method marked @bentofn.after_restore"


def look(folder: Path, code: str, *, lines: bool = False) -> list[tuple[str, str, bool]]:
    """What is found in a process that holds what the code opens."""
    (folder / "held.py").write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, "-c", _LOOK.format(folder=str(folder), lines=lines)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [tuple(each) for each in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (
            "import socket as s\ndef bind():\n    return s.create_server(('', 0))\nx = bind()",
            "listens on port .*, opened in held.py:3 (bind)",
        ),
        (
            "import socket\nx = socket.socket()\nx.bind(('127.0.0.1', 0))",
            "holds port .*, bound in held.py:3",
        ),
        (
            "import socket\nx = socket.socket(type=socket.SOCK_DGRAM)\nx.connect(('127.0.0.1', 9))",
            "holds a connection to 127.0.0.1:9, opened in held.py:3",
        ),
        (
            "import socket\nx = socket.socket(socket.AF_UNIX)\nx.bind('here')\nx.listen()",
            "listens on the local socket here, opened in held.py:3",
        ),
        (
            "import socket\nx = socket.socket(socket.AF_UNIX)\nx.bind('\\0bentofn-%d' % id(x))",
            "holds the name of the local socket @bentofn-.*, bound in held.py:3",
        ),
        ("x = open('log', 'a')", "has .*/log open for writing, .*, opened in held.py:1"),
        (
            "import fcntl\nx = open('log', 'a')\nfcntl.flock(x, fcntl.LOCK_EX)",
            "holds a lock on .*/log, taken in held.py:3",
        ),
        (
            "import sqlite3\nx = sqlite3.connect('db')\nx.execute('create table t (a)')",
            "has .*/db open for writing, .*, opened in held.py:2",
        ),
        (
            "import mmap\nx = open('m', 'w+b')\nx.truncate(9)\nx = mmap.mmap(x.fileno(), 0)",
            "has .*/m open for writing, .*, opened in held.py:2",
        ),
        (
            _LIBC + "import os\nd = os.open(b'weights-\\xff', os.O_RDWR | os.O_CREAT)\n"
            "os.truncate(d, 9)\nlibc.mmap(None, 9, 1, 2, d, 0)\nos.close(d)",
            "maps .*/weights-\ufffd, whose name is not UTF-8",
        ),
        ("x = open('/proc/self/status')", "has /proc/[0-9]+/status open, .*"),
        ("x = open('/dev/ptmx', 'rb', 0)", "has the device /dev/(pts/)?ptmx open"),
        (
            "import os\nx = open('big', 'w+b')\nx.truncate(3 << 20)\nos.unlink('big')",
            "holds the deleted file .*/big (3 MB)",
        ),
        (
            "import os\nx = open('a', 'w+b')\nos.link('a', 'b')\nos.unlink('a')",
            "holds .*/a, which now has another name",
        ),
        (
            "import subprocess\nx = subprocess.Popen(['sleep', '9'], stdout=-3, stderr=-3)\n",
            "runs the child process 'sleep', .*, started in held.py:2",
        ),
        ("x = open('/proc/self/ns/net')", "holds a descriptor of the namespace net:.*"),
        (
            _LIBC + "p = (ctypes.c_char * 120)()\nx = libc.syscall(425, 8, p)",
            "uses io_uring",
        ),
        (
            _LIBC + "libc.shmat.restype = ctypes.c_void_p\n"
            "i = libc.shmget(0, 4096, 0o1600)\nx = libc.shmat(i, None, 0)\nlibc.shmctl(i, 0, None)",
            "holds System V shared memory",
        ),
        (
            _LIBC + "x = libc.syscall(323, 1)",
            "holds a descriptor of the kind userfaultfd",
        ),
        ("import os\nos.mkdir('d')\nos.chdir('d')\nos.rmdir('../d')", "works in a directory .*"),
    ],
)
def test_what_a_snapshot_cannot_hold_is_named_with_its_line(
    tmp_path: Path, code: str, found: str
) -> None:
    if "syscall(425" in code and _refused(425):
        pytest.skip("this host has no io_uring")
    if "syscall(323" in code and _refused(323):
        pytest.skip("this host has no userfaultfd")
    ((what, remedy, blocks), *others) = look(tmp_path, code)
    pattern = found.replace("(", r"\(").replace(")", r"\)").replace(r"\(pts/\)?", "(pts/)?")
    assert re.fullmatch(f"{pattern}.*", what)
    assert remedy
    assert blocks
    assert others == []


def _refused(number: int) -> bool:
    arguments = (8, (ctypes.c_char * 120)()) if number == 425 else (1,)
    fd = ctypes.CDLL(None).syscall(number, *arguments)
    if fd >= 0:
        os.close(fd)
    return fd < 0


def test_what_a_restore_brings_back_is_no_obstacle(tmp_path: Path) -> None:
    code = """
        import asyncio, concurrent.futures, ctypes, mmap, multiprocessing, os, select, signal
        import socket, tempfile, threading

        libc = ctypes.CDLL(None)
        pair, datagrams = socket.socketpair(), socket.socketpair(type=socket.SOCK_DGRAM)
        left = socket.socketpair()[0]
        unbound, plain = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        pipe, half = os.pipe(), os.pipe()
        os.close(half[1])
        epoll = select.epoll()
        epoll.register(pipe[0], select.EPOLLIN)
        eventfd, timer, watch = libc.eventfd(0, 0), libc.timerfd_create(1, 0), libc.inotify_init()
        memory, shared = os.memfd_create("m"), mmap.mmap(-1, 4096)
        deleted = tempfile.TemporaryFile()
        deleted.write(b"x")
        deleted.flush()
        lock = multiprocessing.get_context("fork").Lock()
        null, random = open("/dev/null", "wb"), open("/dev/urandom", "rb")
        own, folder = open(__file__), os.open("/", os.O_RDONLY)
        meminfo = open("/proc/meminfo")
        pool = concurrent.futures.ThreadPoolExecutor(2)
        pool.submit(abs, 1).result()
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        signal.setitimer(signal.ITIMER_REAL, 1000)
    """
    assert look(tmp_path, code) == []


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_connection_is_named_as_it_was_looked_up(tmp_path: Path, server: socket.socket) -> None:
    port = server.getsockname()[1]
    code = f"""
        import socket

        class Store:
            def __init__(self):
                self.connection = socket.create_connection(("localhost", {port}))

        store = Store()
    """
    ((what, remedy, _),) = look(tmp_path, code)
    assert what.startswith(f"holds a connection to localhost:{port}, opened in held.py:6 (")
    assert "__init__)" in what
    assert remedy == f"open it {_HOOK}"


def test_a_pipe_to_another_process_is_named(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    (tmp_path / "held.py").write_text("")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOOK.format(folder=str(tmp_path), lines=False)],
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    finally:
        os.close(read)
        os.close(write)
    assert [each[0] for each in json.loads(done.stdout)] == [
        "holds one end of a pipe to another process"
    ]


def test_a_temporary_file_is_a_warning_only(tmp_path: Path) -> None:
    code = """
        import os, tempfile
        fd, path = tempfile.mkstemp()
        os.close(fd)
        file = open(path, "rb")
    """
    ((what, _, blocks),) = look(tmp_path, code)
    assert what.startswith("uses the temporary file")
    assert not blocks


def test_several_obstacles_make_one_sentence() -> None:
    obstacles = [
        Obstacle("holds a connection to db:5432", "store.py:31 (Store.__init__)"),
        Obstacle("runs the child process 'sleep'", verb="start"),
        Obstacle("holds GPU memory", advice="move its tensors"),
    ]
    assert sentence(obstacles[:1]) == (
        "the service holds a connection to db:5432, opened in store.py:31 (Store.__init__); "
        f"open it {_HOOK}"
    )
    assert sentence(obstacles) == (
        "the service holds a connection to db:5432, opened in store.py:31 (Store.__init__), and "
        f"runs the child process 'sleep', and holds GPU memory; open and start them {_HOOK}, and "
        "move its tensors"
    )
    assert sentence(obstacles[:1] * 7).count("5432") == 5
    assert "and 2 more;" in sentence(obstacles[:1] * 7)


def test_warnings_tell_what_blocks_from_what_may_fail() -> None:
    one, other = Obstacle("holds a pipe"), Obstacle("uses a file", advice="keep it", blocks=False)
    assert warnings([]) == []
    assert warnings([one, other]) == [
        f"No snapshot of this service can be restored: the service holds a pipe; open it {_HOOK}.",
        "A restore of this service may fail: the service uses a file; keep it.",
    ]


def test_what_native_code_opens_is_found_after_its_line(tmp_path: Path) -> None:
    code = """
        import ctypes

        class Driver:
            def __init__(self):
                libc = ctypes.CDLL(None)
                self.socket = libc.socket(2, 1, 0)
                libc.listen(self.socket, 1)

        driver = Driver()
    """
    ((unplaced, _, _),) = look(tmp_path, code)
    assert "opened in" not in unplaced
    ((placed, _, _),) = look(tmp_path, code, lines=True)
    assert placed.startswith("listens on port")
    assert ", opened in held.py:7 (" in placed
