"""``from_pretrained`` of transformers and diffusers with this loader."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bentofn.runtime.weights.header import TensorInfo
from bentofn.runtime.weights.loading import load_file
from bentofn.runtime.weights.sources import opened

if TYPE_CHECKING:
    import torch

_NAMES = ("safe_open", "load_file", "safe_load_file")
"""What libraries call safetensors' functions."""

_TORCH = ("pt", "torch", "pytorch")
"""Safetensors' names of the framework whose tensors these are; others are left to it."""


@contextmanager
def accelerate(device: str | int | torch.device = "cpu") -> Iterator[None]:
    """Within this block ``from_pretrained`` of transformers and diffusers loads as bentofn does.

    ``with bentofn.weights.accelerate("cuda"): AutoModel.from_pretrained(path, device_map="cuda")``

    It replaces functions of those libraries and of safetensors for all threads of the process; of
    the blocks that threads are in, the one that was entered last says the device. A model that is
    converted (``dtype``) needs room there for what is in the file too.

    Args:
        device: Where the weights go: the device of the ``device_map``. Models that are spread over
            several are loaded on the CPU.
    """
    block = _Block(device)
    _blocks.enter(block)
    try:
        yield
    finally:
        _blocks.leave(block)


@dataclass(eq=False)
class _Block:
    device: str | int | torch.device


class _Blocks:
    """The blocks that threads are in, and safetensors' functions with what stands for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered: list[_Block] = []
        self._functions: Mapping[Any, Any] = {}

    def enter(self, block: _Block) -> None:
        with self._lock:
            if not self._entered:
                self._functions = self._made()
                _replace(self._functions)
            self._entered.append(block)

    def leave(self, block: _Block) -> None:
        with self._lock:
            self._entered.remove(block)
            if not self._entered:
                # Also in modules that were imported meanwhile and took what they found.
                _replace({ours: theirs for theirs, ours in self._functions.items()})

    def _made(self) -> Mapping[Any, Any]:
        import safetensors.torch

        open_theirs, load_theirs = safetensors.safe_open, safetensors.torch.load_file

        def reader(filename: Any, framework: str, *args: Any, **options: Any) -> Any:
            entered = self._entered[-1:]
            if not entered or framework not in _TORCH:
                return open_theirs(filename, framework, *args, **options)
            return Reader(filename, entered[0].device)

        def load(filename: Any, *args: Any, **options: Any) -> Any:
            entered = self._entered[-1:]
            if not entered:  # whoever took it while there was one
                return load_theirs(filename, *args, **options)
            return load_file(filename, entered[0].device)

        return {open_theirs: reader, load_theirs: load}


_blocks = _Blocks()


class Reader:
    """What ``safetensors.safe_open`` gives; the file is loaded when its first tensor is wanted.

    Args:
        filename: The file.
        device: Where its tensors go.
    """

    def __init__(
        self, filename: str | os.PathLike[str], device: str | int | torch.device = "cpu"
    ) -> None:
        self._filename = filename
        self._device = device
        self._lock = threading.Lock()
        self._tensors: dict[str, torch.Tensor] = {}
        with opened(filename) as source:
            self._header = source.header

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tensors = {}

    def keys(self) -> list[str]:
        """Names of the tensors, sorted."""
        return sorted(self._header.tensors)

    def offset_keys(self) -> list[str]:
        """Names of the tensors, in the order of their bytes."""
        return list(self._header.tensors)

    def metadata(self) -> dict[str, str] | None:
        """The writer's own texts."""
        return dict(self._header.metadata) or None

    def get_tensor(self, name: str) -> torch.Tensor:
        """One tensor.

        Raises:
            SafetensorError: There is none of this name.
        """
        self.info(name)
        with self._lock:
            if not self._tensors:
                self._tensors = load_file(self._filename, self._device)
        return self._tensors[name]

    def get_tensors(self) -> dict[str, torch.Tensor]:
        """All of them."""
        return {name: self.get_tensor(name) for name in self.keys()}

    def get_slice(self, name: str) -> Slice:
        """One tensor, not loaded yet; raises as :meth:`get_tensor`."""
        return Slice(self, name)

    def info(self, name: str) -> TensorInfo:
        """What the file says of a tensor; raises as :meth:`get_tensor`."""
        found = self._header.tensors.get(name)
        if found is None:
            from safetensors import SafetensorError

            raise SafetensorError(f"File does not contain tensor {name}")
        return found


class Slice:
    """A tensor that is loaded when it is indexed.

    Args:
        reader: The file.
        name: The tensor.
    """

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name
        self._info = reader.info(name)

    def get_shape(self) -> list[int]:
        """Its dimensions."""
        return list(self._info.shape)

    def get_dtype(self) -> str:
        """The format's name of its type, such as ``BF16``."""
        return self._info.dtype

    def __getitem__(self, index: Any) -> torch.Tensor:
        return self._reader.get_tensor(self._name)[index]


def _replace(functions: Mapping[Any, Any]) -> None:
    """Have every module that imported a function by its usual name use another."""
    for module in list(sys.modules.values()):
        for name in _NAMES:
            found = getattr(module, "__dict__", {}).get(name)
            for function, other in functions.items():
                if found is function:
                    setattr(module, name, other)
