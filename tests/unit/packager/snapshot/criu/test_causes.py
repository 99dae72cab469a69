"""CRIU's log and what a process holds become one sentence."""

# ruff: noqa: E501 - the lines of the log are as CRIU writes them

from __future__ import annotations

import os
import socket
import struct
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.causes import (
    Holdings,
    cause_of,
    first_error,
    holdings_of,
    parse_address,
    parse_tcp,
)

NOISE = """\
(00.000873) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
"""
END = """\
(00.007411) Error (criu/cr-dump.c:1545): Dump files (pid: 32368) failed with -1
(00.007886) Error (criu/cr-dump.c:1975): Dumping FAILED.
"""


@pytest.mark.parametrize(
    ("log", "holdings", "said"),
    [
        (
            "(00.1) sockets: Searching for socket 0x1f family 2\n"
            "(00.1) Error (criu/sk-inet.c:200): inet: Connected TCP socket, consider using --tcp-established option.",
            Holdings(connections={31: "10.0.0.1:5432"}),
            "holds a connection to 10.0.0.1:5432;",
        ),
        (
            "(00.1) Error (criu/sk-inet.c:200): inet: Connected TCP socket, consider using --tcp-established option.",
            Holdings(),
            "holds a network connection;",
        ),
        (
            "(00.1) unix: \tRunaway socket: ino 1 peer_ino 2 family    1 type    1 state  1 name /run/db.sock\n"
            "(00.1) Error (criu/sk-unix.c:874): unix: External socket is used. Consider using --ext-unix-sk option.",
            Holdings(),
            "the local socket /run/db.sock;",
        ),
        (
            "(00.1) unix: \tRunaway socket: ino 1 peer_ino 2 family    1 type    1 state  1 name --\n"
            "(00.1) Error (criu/sk-unix.c:874): unix: External socket is used. Consider using --ext-unix-sk option.",
            Holdings(),
            "the local socket of its parent;",
        ),
        (
            "pie: 1: Error (criu/pie/parasite.c:588): send_fds failed (-22)",
            Holdings(descriptors={3: "anon_inode:[io_uring]"}),
            "uses io_uring",
        ),
        (
            "(00.1) Error (criu/files-ext.c:94): Can't dump file 7 of that type [20666] (chr 195:255)",
            Holdings(descriptors={7: "/dev/nvidiactl"}),
            "holds GPU memory; a function that asks for a GPU sleeps with that in host memory instead",
        ),
        (
            "(00.1) Error (criu/files-ext.c:94): Can't dump file 3 of that type [20666] (chr 10:229)",
            Holdings(descriptors={3: "/dev/fuse"}),
            "the device /dev/fuse",
        ),
        (
            "(00.1) Error (criu/files-ext.c:94): Can't dump file 3 of that type [600] (anon anon_inode:[perf_event])",
            Holdings(),
            "a descriptor of the kind perf_event",
        ),
        (
            "(00.1) Error (criu/files-ext.c:94): Can't dump file 3 of that type [600] (anon anon_inode:bpf-map)",
            Holdings(),
            "a descriptor of the kind bpf-map",
        ),
        (
            "(00.1) Error (criu/sockets.c:767): sockets: BUG! Unknown socket collected (family 40)",
            Holdings(),
            "a socket of the kind AF_VSOCK",
        ),
        (
            "(00.1) Error (criu/sockets.c:767): sockets: BUG! Unknown socket collected (family 9999)",
            Holdings(),
            "a socket of the kind family 9999",
        ),
        (
            "(00.1) Error (criu/files-reg.c:1031): Can't dump ghost file /tmp/a b of 52428800 size, increase limit",
            Holdings(),
            "the deleted file /tmp/a b (52 MB)",
        ),
        (
            "(00.1) Error (criu/file-lock.c:110): Some file locks are hold by dumping tasks! You can try --file-locks to dump them.",
            Holdings(descriptors={4: "/data/lock"}, locked=(4,)),
            "a lock on /data/lock; take it",
        ),
        (
            "(00.1) Error (criu/page-xfer.c:263): page-xfer: Unable to spice data: No space left on device",
            Holdings(),
            "disk that the snapshot is written to is full",
        ),
        (
            "(00.1) Warn  (compel/src/lib/infect.c:132): Unable to interrupt task: 1146 (Operation not permitted)",
            Holdings(tracer="process 12 (gdb)"),
            "is traced by process 12 (gdb)",
        ),
        (
            "(00.1) Warn  (compel/src/lib/infect.c:132): Unable to interrupt task: 1146 (Operation not permitted)",
            Holdings(),
            "yama.ptrace_scope",
        ),
        (
            "(00.1) Warn  (compel/src/lib/infect.c:132): Unable to interrupt task: 1146 (No such process)",
            Holdings(),
            "ended before it could be dumped",
        ),
        (
            "(00.1) Error (criu/seccomp.c:200): seccomp: Can't dump filters of 12.",
            Holdings(),
            "a seccomp filter",
        ),
        (
            "(00.1) Error (criu/ipc_ns.c:1): Task 8836 with SysVIPC shmem map @7f4a0b06d000 doesn't live in IPC ns",
            Holdings(),
            "holds System V shared memory; create it",
        ),
        (
            "(00.1) Error (criu/mount.c:1): mnt: Something that nobody has seen.",
            Holdings(),
            "CRIU could not dump the service: mnt: Something that nobody has seen",
        ),
        ("", Holdings(), "did not say why"),
    ],
)
def test_a_cause_is_named(log: str, holdings: Holdings, said: str) -> None:
    cause = cause_of(f"{NOISE}{log}\n{END}", holdings)
    assert said in cause.sentence
    assert not cause.sentence.endswith(".")
    assert "\n" not in cause.sentence
    blames = ("holds", "uses io_uring", "has the device", "runs under")
    assert cause.of_the_service == cause.sentence.startswith(
        tuple(f"the service {x}" for x in blames)
    )


@given(st.text(max_size=400), st.dictionaries(st.integers(0, 9), st.text(max_size=20)))
@example("Can't dump file 9 of that type [1] (x)", {})
@example("Some file locks are hold", {})
def test_any_log_gives_a_sentence(log: str, descriptors: dict[int, str]) -> None:
    assert cause_of(log, Holdings(descriptors=descriptors, locked=tuple(descriptors))).sentence


def test_the_first_error_that_says_something_is_found() -> None:
    log = f"{NOISE}(00.1) Error (criu/mem.c:1): mem: Something.\n{END}"
    assert first_error(log) == "mem: Something"
    assert first_error(NOISE + END) is None


@given(st.ip_addresses(v=4), st.integers(0, 65535))
def test_ipv4_addresses_are_read(address, port: int) -> None:  # type: ignore[no-untyped-def]
    (word,) = struct.unpack("=I", address.packed)
    assert parse_address(f"{word:08X}:{port:04X}") == f"{address}:{port}"


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_ipv6_addresses_are_read(address, port: int) -> None:  # type: ignore[no-untyped-def]
    words = struct.unpack("=4I", address.packed)
    text = "".join(f"{word:08X}" for word in words)
    host = socket.inet_ntop(socket.AF_INET6, address.packed)
    assert parse_address(f"{text}:{port:04X}") == f"[{host}]:{port}"


def test_listening_sockets_are_no_connections() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1\n"
        "   1: 0100007F:0051 0100007F:1538 01 00000000:00000000 00:00000000 00000000     0        0 12 1\n"
    )
    expected = "127.0.0.1" if sys.byteorder == "little" else "1.0.0.127"
    assert parse_tcp(table) == {12: f"{expected}:5432"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_process_holds_is_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            holdings = holdings_of(os.getpid())
            inode = os.fstat(client.fileno()).st_ino
            assert holdings.connections[inode] == f"127.0.0.1:{port}"
            assert holdings.descriptors[client.fileno()] == f"socket:[{inode}]"
            assert holdings.tracer is None


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert holdings_of(2**22 + 1) == Holdings()
