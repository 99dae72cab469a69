"""Runs an ONNX model with ONNX Runtime: numpy in, numpy out, and it survives being forked.

A session with one thread computes in the caller's and has none of its own, so that a template that
holds it can be forked. With more threads the pool belongs to one process: a restored instance
answers at once with the session that it was forked with, until its own one, with a pool, is ready.

Three quarters of the time in which a session is opened go into packing its weights: copying them to
how the processor reads them best. Where a request waits, that is done after the first answers.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentofn.runtime import on_demand, threads
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import register_after_restore
from bentofn.runtime.weights.header import read_header

FILE = "model.onnx"
"""Name of the graph in a model's directory."""

WEIGHTS = "model.safetensors"
"""Name of the file beside it that holds the weights of a model that a build exported."""

PATIENCE = 1.0
"""Seconds after which weights are packed that were not when the session was opened."""

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")

_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")},
    "bool": "bool",
}
"""ONNX Runtime's names of element types to numpy's."""


_SAFETENSORS = {
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
"""The safetensors format's names of element types to numpy's."""


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Args:
        name: Its name.
        dtype: numpy's name of its type; empty if numpy has none.
        shape: Sizes of its axes, or the names of those that may have any size.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


def bind(
    names: tuple[str, ...], arrays: tuple[Any, ...], by_name: dict[str, Any]
) -> dict[str, Any]:
    """Give each input its array, as a function call would.

    Raises:
        TypeError: One is missing, unknown, or given twice.
    """
    if len(arrays) > len(names):
        raise TypeError(f"the model takes {len(names)} inputs, and got {len(arrays)}")
    bound = dict(zip(names, arrays, strict=False))
    for name, array in by_name.items():
        if name not in names:
            raise TypeError(f"the model has no input {name!r}; it takes {', '.join(names)}")
        if name in bound:
            raise TypeError(f"the input {name!r} was given twice")
        bound[name] = array
    missing = [name for name in names if name not in bound]
    if missing:
        raise TypeError(f"the model also needs {', '.join(missing)}")
    return bound


class OnnxSession:
    """An ONNX model, ready to be called.

    Args:
        file: The graph; its weights are mapped from the files beside it that it names.

    Raises:
        UserError: ONNX Runtime is not installed, or it cannot read the file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._threads = threads.wanted(os.environ, 0)
        is_awaited = on_demand.is_awaited(os.environ)
        self._session = _open(file, self._threads, packs=not is_awaited)
        self.inputs = tuple(_input(each) for each in self._session.get_inputs())
        self.outputs = tuple(each.name for each in self._session.get_outputs())
        self._names = tuple(each.name for each in self.inputs)
        register_after_restore(self._own_threads)
        if is_awaited:
            self._pack_later()

    def __call__(self, *arrays: Any, **inputs: Any) -> Any:
        """Compute the outputs.

        Args:
            *arrays: Arrays, or lists, in the order of :attr:`inputs`; they are converted to the
                dtypes of the inputs where nothing but precision is lost.
            **inputs: The same by name.

        Returns:
            The array of the only output, or a tuple of arrays in the order of :attr:`outputs`.

        Raises:
            TypeError: An input is missing, unknown, or of another kind of number.
        """
        import numpy as np

        bound = bind(self._names, arrays, inputs)
        feed = {}
        for each in self.inputs:
            array = np.asarray(bound[each.name])
            if each.dtype:
                array = array.astype(each.dtype, casting="same_kind", copy=False)
            feed[each.name] = array
        outputs = self._session.run(None, feed)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _pack_later(self) -> None:
        ends = threading.Event()

        def pack() -> None:
            if not ends.wait(PATIENCE):
                self._reopen()

        packing = threading.Thread(target=pack, name="onnx-session", daemon=True)

        def end() -> None:  # an interpreter that ends meanwhile would abort
            ends.set()
            packing.join()

        atexit.register(end)
        packing.start()

    def _own_threads(self) -> None:
        count = threads.wanted(os.environ, 0)
        if count == self._threads:
            return
        self._threads = count
        threading.Thread(target=self._reopen, name="onnx-session", daemon=True).start()

    def _reopen(self) -> None:
        self._session = _open(self._file, self._threads, packs=True)


def _open(file: Path, count: int, *, packs: bool) -> Any:
    threads.calm(os.environ)
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"{file.name} needs ONNX Runtime; list onnxruntime under python.packages, and "
            "`pip install onnxruntime` to run it here."
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count
    # A thread that spins takes the CPU from the instances beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not packs:
        options.add_session_config_entry("session.disable_prepacking", "1")
    weights = file.with_name(WEIGHTS)
    if weights.is_symlink():
        names, values = linked_weights(weights)
        options.add_external_initializers(
            names, [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in values]
        )
    available = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in available]
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=providers)
    except Exception as error:  # of its own types, which are not exported
        raise UserError(f"{file} cannot be opened with ONNX Runtime: {error}") from error


def linked_weights(file: Path) -> tuple[list[str], list[Any]]:
    """The tensors of a safetensors file by name, mapped.

    ONNX Runtime opens no data through a symbolic link that leads out of the graph's directory, and
    a model's files are such links where the file system has no hard ones.

    Args:
        file: The link.

    Returns:
        The names, and a read-only array for each.
    """
    import numpy as np

    data = np.memmap(file, np.uint8, "r")
    header = read_header(file)
    arrays = {}
    for name, info in header.tensors.items():
        if info.dtype in _SAFETENSORS:
            values = data[header.data_start + info.start : header.data_start + info.stop]
            arrays[name] = values.view(_SAFETENSORS[info.dtype]).reshape(info.shape)
    return list(arrays), list(arrays.values())


def _input(raw: Any) -> Input:
    kind = str(raw.type).removeprefix("tensor(").removesuffix(")")
    return Input(raw.name, _DTYPES.get(kind, ""), tuple(raw.shape))
