from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.snapshot.criu.rpc import (
    Paused,
    Restored,
    RestoreFailed,
    go_on,
    parse_response,
    restore_request,
)
from bentofn.packager.snapshot.criu.schema import message_class


def response(**fields: object) -> bytes:
    data: bytes = message_class("Response")(**fields).SerializeToString()
    return data


def restored(pid: int) -> bytes:
    data: bytes = message_class("RestoreResponse")(pid=pid).SerializeToString()
    return data


@given(st.text(min_size=1).filter(lambda text: "\0" not in text), st.integers(0, 1 << 20))
def test_a_request_says_what_to_restore_and_with_which_sockets(name: str, fd: int) -> None:
    images = Path("/snapshots") / name.encode("utf-8", "ignore").decode().strip("/")
    given = {"the/wire": fd, "another": fd + 1}
    request = message_class("Request").FromString(restore_request(images, given, 7))
    options = message_class("Options").FromString(request.opts)
    inherited = map(message_class("InheritedFd").FromString, options.inherit_fd)
    assert request.type == 2
    assert options.images_dir == str(images)
    assert {each.key: each.fd for each in inherited} == given
    assert options.work_dir_fd == 7
    assert options.rst_sibling
    assert options.log_to_stderr


@given(st.integers(1, (1 << 31) - 1))
def test_a_restored_process_is_known_by_its_number(pid: int) -> None:
    data = response(type=2, success=True, restore=restored(pid))
    assert parse_response(data) == Restored(pid)


@given(st.binary())
def test_any_bytes_are_an_answer(data: bytes) -> None:
    assert isinstance(parse_response(data), Restored | RestoreFailed | Paused)


def test_a_failure_says_why() -> None:
    assert parse_response(b"") == RestoreFailed("CRIU ended without an answer", unanswered=True)
    assert parse_response(response(type=2, success=False, cr_errno=17)) == RestoreFailed(
        "File exists"
    )
    said = response(type=2, success=False, cr_errmsg="no such image")
    assert parse_response(said) == RestoreFailed("no such image")
    assert parse_response(response(type=2, success=True)) == RestoreFailed("CRIU does not say why")


def test_criu_says_how_far_it_is_and_is_told_to_go_on() -> None:
    said = message_class("Notification")(script="post-restore", pid=42).SerializeToString()
    paused = parse_response(response(type=6, success=True, notify=said))
    assert paused == Paused("post-restore", 42)
    assert paused.has_memory
    assert not Paused("pre-restore").has_memory
    answer = message_class("Request").FromString(go_on())
    assert (answer.type, answer.notify_success) == (6, True)
