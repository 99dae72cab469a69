from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.errors import BentoMLException, InvalidArgument
from bentofn.runtime.proxy import wire

values = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_any_value_comes_through(value: Any) -> None:
    assert wire.unpack(b"".join(wire.pack(value))) == value


def test_arrays_travel_beside_the_pickle_and_can_be_written_to() -> None:
    sent = {"x": np.arange(6.0).reshape(2, 3), "y": np.ones(1000, dtype=np.float32)}
    message = wire.pack(sent)
    assert len(message) == 4
    assert len(message[1]) < 600
    got = wire.unpack(b"".join(message))
    assert all(np.array_equal(sent[name], got[name]) for name in sent)
    got["x"][0, 0] = 5.0
    assert sent["x"][0, 0] == 0.0


@given(st.lists(values, max_size=5), st.integers(1, 40))
def test_a_stream_is_read_whatever_the_pieces_it_arrives_in(items: list[Any], size: int) -> None:
    data = b"".join(wire.frame(wire.ITEM, wire.pack(item)) for item in items)
    frames, got = wire.Frames(), []
    for begin in range(0, len(data), size):
        got += list(frames.feed(data[begin : begin + size]))
    assert got == items


class AwkwardError(Exception):
    """Has a constructor that unpickling cannot call."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def test_exceptions_stay_what_they_are_or_become_their_text() -> None:
    same = wire.unpack(b"".join(wire.pack_error(InvalidArgument("too large"), 400)))
    assert isinstance(same, InvalidArgument)
    assert str(same) == "too large"
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(AwkwardError(1, "x")))
    text = wire.unpack(b"".join(wire.pack_error(AwkwardError(1, "x"), 500)))
    assert type(text) is BentoMLException
    assert str(text) == "AwkwardError: 1: x"
    assert text.error_code == 500
    locked = ValueError(threading.Lock())
    assert "ValueError" in str(wire.unpack(b"".join(wire.pack_error(locked, 500))))
    frames = wire.Frames()
    data = wire.frame(wire.ITEM, wire.pack(1)) + wire.frame(wire.ERROR, wire.pack(KeyError("k")))
    feed = frames.feed(data)
    assert next(feed) == 1
    with pytest.raises(KeyError, match="k"):
        next(feed)
