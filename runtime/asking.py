"""The models that a service wants while a build imports it: the build is asked over a socket.

The process that imports it has the runtime alone, and neither the packager nor a bento yet.
:data:`bentofn.runtime.models.ASK` holds the number of the socket.
"""

from __future__ import annotations

import json
import os
from typing import Any

from bentofn.runtime.errors import NotFound
from bentofn.runtime.model import Model, ModelPath
from bentofn.runtime.models import ASK


def ask_model(wanted: str) -> Model:
    """The model that a tag or a source means now.

    Args:
        wanted: ``name:version``, ``name:latest``, ``name``, or ``hf:org/name@revision``.

    Raises:
        NotFound: There is none; the message says how to get it.
    """
    answer = _ask(wanted)
    if "error" in answer:
        raise NotFound(answer["error"])
    path = ModelPath(answer.pop("path"))
    return Model(path=path, **answer)


def ask_models() -> list[Model]:
    """All models that the build could give.

    The bento carries those of them whose path is read, or that are asked for by their tag.
    """
    return [_Listed(**answer) for answer in _ask(None)]


class _Listed(Model):
    def __init__(self, **said: Any) -> None:
        super().__init__(path=ModelPath(), **said)
        del self.path  # asked for when it is read

    __repr__ = Model.__str__

    def __getattr__(self, name: str) -> Any:
        if name != "path":
            raise AttributeError(name)
        self.path = ask_model(str(self.tag)).path
        return self.path


def _ask(wanted: str | None) -> Any:
    socket = int(os.environ[ASK])
    os.write(socket, json.dumps(wanted).encode() + b"\n")
    read = b""
    while not read.endswith(b"\n"):
        piece = os.read(socket, 1 << 16)
        if not piece:
            raise NotFound("The build that imports this ended before it answered.")
        read += piece
    return json.loads(read)
