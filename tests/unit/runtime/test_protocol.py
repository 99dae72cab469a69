from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.protocol import (
    FORK_FDS,
    MAX_LINE,
    Channel,
    Decoder,
    Exited,
    Failed,
    Fork,
    Forked,
    ForkFailed,
    Message,
    ProtocolError,
    Ready,
    Refused,
    Rehearse,
    Rehearsed,
    decode,
    encode,
)

PIDS = st.integers(1, 1 << 22)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ready, PIDS),
    st.builds(Failed, st.text()),
    st.builds(Refused, st.text()),
    st.builds(Rehearse),
    st.builds(Rehearsed),
    st.builds(Fork, st.text(), st.integers(1, 64), st.dictionaries(st.text(), st.text())),
    st.builds(Forked, st.text(), PIDS),
    st.builds(ForkFailed, st.text(), st.text()),
    st.builds(Exited, st.text(), PIDS, st.integers(-64, 255)),
)


@given(st.lists(MESSAGES), st.lists(st.integers(1, 40)))
def test_messages_survive_however_the_stream_is_cut(sent: list[Message], cuts: list[int]) -> None:
    data = b"".join(map(encode, sent))
    decoder = Decoder()
    received: list[Message] = []
    for size in cuts:
        received += decoder.feed(data[:size])
        data = data[size:]
    received += decoder.feed(data)
    assert received == sent


@given(st.binary())
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a message"):
        decode(line)


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"7", b"{}", b'{"event":"dance"}', b'{"event":"ready"}', b'{"event":["ready"]}'],
)
def test_wrong_shapes_are_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ProtocolError, match="longer than"):
        Decoder().feed(b"x" * (MAX_LINE + 1))


def test_descriptors_arrive_with_their_request() -> None:
    platform, process = socket.socketpair()
    channel = Channel(process.detach())
    pipes = [os.pipe() for _ in FORK_FDS]
    request = Fork("a", 2, {"A": "1"})
    socket.send_fds(platform, [encode(request)], [write for _, write in pipes])

    assert channel.receive() == [request]
    passed = channel.take_fds()
    for name, (read, _) in zip(FORK_FDS, pipes, strict=True):
        os.write(passed[name], name.encode())
        assert os.read(read, 100) == name.encode()

    platform.close()
    assert channel.receive() is None
    channel.send(Ready(1))
    channel.close()
    for fd in (*passed.values(), *(end for pipe in pipes for end in pipe)):
        os.close(fd)


def test_descriptors_that_nobody_took_are_closed() -> None:
    platform, process = socket.socketpair()
    channel = Channel(process.detach())
    pipes = [os.pipe() for _ in FORK_FDS]
    socket.send_fds(platform, [encode(Fork("a", 1))], [write for _, write in pipes])
    channel.receive()
    for _, write in pipes:
        os.close(write)
    channel.close()
    assert [os.read(read, 1) for read, _ in pipes] == [b""] * len(FORK_FDS)
    platform.close()
    for read, _ in pipes:
        os.close(read)
