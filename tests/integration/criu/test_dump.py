"""Dumps of small processes, and the sentences of those that fail."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instances import eventually

from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.dump import DumpFailed, dump

SECONDS = 30.0

StartSleeper = Callable[..., Any]


def refusal(
    criu: Criu, sleeper: StartSleeper, directory: Path, lines: str, keep: Sequence[int] = ()
) -> str:
    """The sentence of a dump that fails; nothing is left of it."""
    process = sleeper(lines, keep)
    with pytest.raises(DumpFailed) as failed:
        dump(criu, process.pid, directory, SECONDS)
    assert process.ended()
    assert not directory.exists()
    assert failed.value.of_the_service == str(failed.value).startswith("the service ")
    return str(failed.value)


def test_a_process_is_on_disk_for_its_user_only_and_has_ended(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    process = sleeper("kept.append(bytearray(1 << 20))")
    dump(criu, process.pid, tmp_path / "images", SECONDS)
    assert process.ended()
    files = sorted((tmp_path / "images").iterdir())
    assert {"core-1.img", "files.img", "mm-1.img", "pages-1.img"} <= {each.name for each in files}
    assert {each.stat().st_mode & 0o077 for each in files} == {0}
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700


def test_a_dumped_process_goes_on_where_it_was(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    lines = f"signal.signal(signal.SIGUSR1, lambda *_: open({str(mark)!r}, 'w').close())"
    process = sleeper(lines)
    dump(criu, process.pid, tmp_path / "images", SECONDS)
    number = tmp_path / "pid"
    restore = ["restore", "-D", str(tmp_path / "images"), "-d", "--pidfile", str(number)]
    done = subprocess.run([*criu.command, *restore], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    again = os.pidfd_open(int(number.read_text()))
    try:
        signal.pidfd_send_signal(again, signal.SIGUSR1)
        for _ in range(1000):
            if mark.exists():
                break
            threading.Event().wait(0.01)
        assert mark.exists()
    finally:
        signal.pidfd_send_signal(again, signal.SIGKILL)
        os.close(again)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_connection_is_named_with_its_other_end(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    lines = f"kept.append(socket.create_connection(('127.0.0.1', {port})))"
    said = refusal(criu, sleeper, tmp_path / "images", lines)
    assert f"holds a connection to 127.0.0.1:{port};" in said
    assert "@bentofn.after_restore" in said


def test_a_connection_over_ipv6_is_named(criu: Criu, sleeper: StartSleeper, tmp_path: Path) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this host has no IPv6")
    with server:
        port = server.getsockname()[1]
        lines = f"kept.append(socket.create_connection(('::1', {port})))"
        assert f"to [::1]:{port};" in refusal(criu, sleeper, tmp_path / "images", lines)


def test_a_unix_connection_to_another_process_is_named(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    path = tmp_path / "outside.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        accepted: list[socket.socket] = []
        accepting = threading.Thread(target=lambda: accepted.append(server.accept()[0]))
        accepting.start()
        lines = f"""
        kept.append(socket.socket(socket.AF_UNIX))
        kept[0].connect({str(path)!r})
        """
        process = sleeper(lines)
        accepting.join()
        with pytest.raises(DumpFailed, match=r"to the local socket .*outside\.sock;"):
            dump(criu, process.pid, tmp_path / "images", SECONDS)
        accepted[0].close()
    assert process.ended()


def test_a_socket_that_came_from_the_parent_is_named(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = theirs.fileno()
        said = refusal(criu, sleeper, tmp_path / "images", f"kept.append({number})", keep=[number])
    assert "a connection to the local socket of its parent;" in said


def test_shared_memory_of_system_v_is_named(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    lines = """
    number = libc.shmget(0, 4096, 0o1600)
    libc.shmat.restype = ctypes.c_void_p
    assert libc.shmat(number, None, 0)
    libc.shmctl(number, 0, None)  # IPC_RMID: it goes with the process
    """
    said = refusal(criu, sleeper, tmp_path / "images", lines)
    assert "System V shared memory" in said


def test_io_uring_is_named(criu: Criu, sleeper: StartSleeper, tmp_path: Path) -> None:
    setup = 425  # io_uring_setup, on every architecture
    if ctypes.CDLL(None).syscall(setup, 8, ctypes.create_string_buffer(120)) < 0:
        pytest.skip("this kernel lets nobody use io_uring")
    lines = f"assert libc.syscall({setup}, 8, ctypes.create_string_buffer(120)) >= 0"
    assert "uses io_uring" in refusal(criu, sleeper, tmp_path / "images", lines)


def test_processes_of_one_directory_are_dumped_at_once(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    processes = [sleeper() for _ in range(4)]
    with ThreadPoolExecutor(len(processes)) as pool:
        done = [
            pool.submit(dump, criu, process.pid, tmp_path / str(process.pid), SECONDS)
            for process in processes
        ]
        for each in done:
            each.result()
    assert all((tmp_path / str(process.pid) / "pstree.img").exists() for process in processes)


def test_one_that_is_called_off_does_not_wait_for_its_turn(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    process, called_off = sleeper(), threading.Event()
    another = os.open(tmp_path, os.O_RDONLY)  # the working directory, as another dump locks it
    fcntl.flock(another, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(dump, criu, process.pid, tmp_path / "images", 600.0, called_off)
        called_off.set()
        with pytest.raises(DumpFailed, match="called off"):
            done.result(SECONDS)
    os.close(another)
    assert process.ended()
    assert not (tmp_path / "images").exists()


def test_one_that_is_called_off_while_it_is_dumped_ends(
    sleeper: StartSleeper, tmp_path: Path
) -> None:
    process, called_off, begun = sleeper(), threading.Event(), tmp_path / "begun"
    waits = Criu(("sh", "-c", f"touch {begun}; exec sleep 600"), "4.2", Path("/bin/sh"))
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(dump, waits, process.pid, tmp_path / "images", 600.0, called_off)
        eventually(begun.exists)
        called_off.set()
        with pytest.raises(DumpFailed, match="called off"):
            done.result(SECONDS)
    assert process.ended()
    assert not (tmp_path / "images").exists()


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="this host has no /dev/fuse")
def test_an_open_device_is_named(criu: Criu, sleeper: StartSleeper, tmp_path: Path) -> None:
    lines = "kept.append(os.open('/dev/fuse', os.O_RDWR))"
    assert "the device /dev/fuse" in refusal(criu, sleeper, tmp_path / "images", lines)


def test_a_file_lock_is_named_with_its_file(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    path = tmp_path / "locked"
    lines = f"""
    kept.append(open({str(path)!r}, "w"))
    fcntl.flock(kept[0], fcntl.LOCK_EX)
    """
    assert f"holds a lock on {path};" in refusal(criu, sleeper, tmp_path / "images", lines)


def test_a_large_deleted_file_is_named(criu: Criu, sleeper: StartSleeper, tmp_path: Path) -> None:
    path = tmp_path / "scratch"
    lines = f"""
    kept.append(open({str(path)!r}, "wb"))
    kept[0].write(b"x" * (8 << 20))
    kept[0].flush()
    os.unlink({str(path)!r})
    """
    said = refusal(criu, sleeper, tmp_path / "images", lines)
    assert f"the deleted file {path} (8 MB)" in said


def test_a_debugger_is_named(criu: Criu, sleeper: StartSleeper, tmp_path: Path) -> None:
    process = sleeper()
    tracer = f"""
import ctypes, sys, time
libc = ctypes.CDLL(None)
assert libc.ptrace(0x4206, {process.pid}, 0, 0) == 0  # PTRACE_SEIZE
print("here", flush=True)
sys.stdin.read()
"""
    debugger = subprocess.Popen(
        [sys.executable, "-c", tracer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert debugger.stdout is not None
    assert debugger.stdout.readline() == b"here\n"
    try:
        with pytest.raises(DumpFailed, match=rf"is traced by process {debugger.pid} \("):
            dump(criu, process.pid, tmp_path / "images", SECONDS)
    finally:
        debugger.communicate()
    assert process.ended()


def test_a_full_disk_is_said_and_nothing_is_left(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this host lets nobody mount a tmpfs")
    try:
        said = refusal(criu, sleeper, small / "images", "kept.append(os.urandom(8 << 20))")
        assert "disk" in said
        assert "full" in said
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_dump_that_takes_too_long_is_given_up(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    process = sleeper("kept.append(os.urandom(64 << 20))")
    with pytest.raises(DumpFailed, match="did not finish the dump within"):
        dump(criu, process.pid, tmp_path / "images", 0.001)
    assert process.ended()
    assert not (tmp_path / "images").exists()


def test_a_process_that_has_ended_is_said(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path
) -> None:
    process = sleeper()
    os.kill(process.pid, signal.SIGKILL)
    assert process.ended()
    with pytest.raises(DumpFailed, match="ended before it could be dumped"):
        dump(criu, process.pid, tmp_path / "images", SECONDS)


def dumping() -> list[int]:
    """The CRIUs that this process has started and that still run."""
    children = Path("/proc/self/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in pids if b"--images-dir" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delay=st.floats(0, 0.12))
def test_a_criu_that_is_killed_at_any_moment_leaves_nothing(
    criu: Criu, sleeper: StartSleeper, tmp_path: Path, delay: float
) -> None:
    process = sleeper("kept.append(os.urandom(16 << 20))")
    said: list[str] = []

    def take() -> None:
        try:
            dump(criu, process.pid, tmp_path / "images", SECONDS)
        except DumpFailed as error:
            said.append(str(error))

    taking = threading.Thread(target=take)
    taking.start()
    taking.join(delay)
    for pid in dumping():
        os.kill(pid, signal.SIGKILL)
    taking.join()
    assert process.ended()
    assert said in ([], ["CRIU was ended by SIGKILL before the dump was done; try again"])
    assert (tmp_path / "images").exists() == (said == [])
    shutil.rmtree(tmp_path / "images", ignore_errors=True)
