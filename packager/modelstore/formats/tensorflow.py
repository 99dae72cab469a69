"""TensorFlow's SavedModel: a folder of a graph, its variables and its assets.

Source: https://www.tensorflow.org/guide/saved_model and
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/saved_model.proto
"""

from __future__ import annotations

import re
from pathlib import Path

from bentofn.packager.modelstore.formats.base import Checked, not_whole
from bentofn.packager.modelstore.formats.protobuf import Malformed, fields, open_message
from bentofn.packager.modelstore.policy import Policy
from bentofn.runtime.errors import UserError

_FILE = "saved_model.pb"
_INDEX = "variables/variables.index"
_SHARD = re.compile(r"variables\.data-(\d{5})-of-(\d{5})")
_META_GRAPHS = 2

# Operations by which a graph reaches out of itself when it runs.
# Source: https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md
_REACHING_OUT = (b"ReadFile", b"WriteFile", b"PyFunc", b"EagerPyFunc", b"PyFuncStateless")


class SavedModel:
    """The ``saved_model.pb`` of a folder."""

    name = "tensorflow"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        return source.name == _FILE

    def check(self, source: Path, policy: Policy) -> Checked:
        try:
            operations = _read_graph(source)
        except Malformed as error:
            raise not_whole(source, "SavedModel", str(error)) from error
        notes: tuple[str, ...] = ()
        if operations:
            notes = (
                f"{source} has operations that reach out of the model when it runs: "
                f"{', '.join(operations)}. Serve it only if you know where it is from.",
            )
        return Checked(_variables(source.parent), notes)


def _read_graph(source: Path) -> list[str]:
    """The operations of a graph that reach out of it."""
    message = open_message(source)
    if _META_GRAPHS not in [number for number, _ in fields(message)]:
        raise Malformed("it has no graph")
    graph = bytes(message)
    # A name stands in the graph behind its length.
    return [name.decode() for name in _REACHING_OUT if bytes([len(name)]) + name in graph]


def _variables(folder: Path) -> tuple[str, ...]:
    """The files of the model's variables, all of them there."""
    variables = folder / "variables"
    names = sorted(path.name for path in variables.iterdir()) if variables.is_dir() else []
    shards = [match for name in names if (match := _SHARD.fullmatch(name))]
    has_index = (folder / _INDEX).is_file()
    whole = len(shards) == int(shards[0][2]) if shards else not has_index
    if has_index != bool(shards) or not whole:
        raise UserError(
            f"{folder} is not a whole SavedModel: of its variables a part is missing; copy the "
            "folder again."
        )
    return tuple(f"variables/{match[0]}" for match in shards) + ((_INDEX,) if has_index else ())
