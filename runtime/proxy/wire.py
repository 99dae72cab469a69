"""What the services of one bento say to each other: pickled values in HTTP/1.1 over AF_UNIX.

Pickle protocol 5, with the buffers of arrays beside the pickle, so that they are not copied into
it. Only ever between processes of one bento: a pickle can run any code where it is read.

Source: https://peps.python.org/pep-0574/
"""

from __future__ import annotations

import pickle
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bentofn.runtime.context import current_context
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.proxy.addresses import MEDIA_TYPE as MEDIA_TYPE

STREAM_TYPE = "application/vnd.bentofn+pickle-stream"
"""Content type of a stream: frames, of which the last may hold an exception."""

ITEM, ERROR = 0, 1
"""Kinds of frames."""

_PROTOCOL = 5
_COUNT = struct.Struct("!I")
_SIZE = struct.Struct("!Q")
_FRAME = struct.Struct("!BQ")


def pack(value: Any) -> list[bytes | memoryview]:
    """A value as the pieces of a message: the sizes, the pickle, and each buffer as it stands."""
    buffers: list[pickle.PickleBuffer] = []
    main = pickle.dumps(value, _PROTOCOL, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    sizes = [len(main), *(piece.nbytes for piece in raw)]
    head = _COUNT.pack(len(sizes)) + b"".join(map(_SIZE.pack, sizes))
    return [head, main, *raw]


def unpack(data: bytes | bytearray) -> Any:
    """The value of a message from a process of the same bento.

    Raises:
        Exception: Whatever the value's own classes raise.
    """
    (count,) = _COUNT.unpack_from(data)
    sizes = [_SIZE.unpack_from(data, 4 + 8 * each)[0] for each in range(count)]
    # Arrays are to be written to, as any result is.
    view = memoryview(bytearray(data) if count > 1 and isinstance(data, bytes) else data)
    pieces, begin = [], 4 + 8 * count
    for size in sizes:
        pieces.append(view[begin : begin + size])
        begin += size
    return pickle.loads(pieces[0], buffers=pieces[1:])


@dataclass(frozen=True)
class SentFile:
    """A file that goes with a message: what is packed as this is unpacked as the path of a copy.

    Args:
        name: Its name.
        data: Its content.
    """

    name: str
    data: bytes

    def __reduce__(self) -> tuple[Callable[[str, bytes], Path], tuple[str, bytes]]:
        return _received, (self.name, self.data)


def _received(name: str, data: bytes) -> Path:
    """Write a file that came; it lives as long as the request that its receiver answers."""
    running = current_context.get(None)
    parent = None if running is None else running.temp_dir
    path = Path(tempfile.mkdtemp(prefix="bentofn-", dir=parent)) / name
    path.write_bytes(data)
    return path


def pack_error(error: BaseException, status: int) -> list[bytes | memoryview]:
    """An exception as a message; one that cannot be pickled becomes its text.

    Args:
        error: It.
        status: The HTTP status that goes with it.
    """
    try:
        message = pack(error)
        if type(unpack(b"".join(message))) is type(error):
            return message
    except Exception:  # a class's own pickling may raise anything
        pass
    text = str(error) if isinstance(error, BentoMLException) else f"{type(error).__name__}: {error}"
    return pack(BentoMLException(text, error_code=HTTPStatus(status)))


def frame(kind: int, message: list[bytes | memoryview]) -> bytes:
    """A message as a part of a stream."""
    size = sum(len(piece) for piece in message)
    return b"".join((_FRAME.pack(kind, size), *message))


@dataclass
class Frames:
    """The frames of a stream, as its bytes arrive."""

    _data: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values of the frames that are complete now.

        Raises:
            Exception: The one that a frame holds.
        """
        self._data += data
        while len(self._data) >= _FRAME.size:
            kind, size = _FRAME.unpack_from(self._data)
            end = _FRAME.size + size
            if len(self._data) < end:
                return
            value = unpack(bytes(self._data[_FRAME.size : end]))
            del self._data[:end]
            if kind == ERROR:
                raise value
            yield value
