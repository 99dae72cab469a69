"""Which files of a hub repository are the model: one set of weights, and what goes with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# What other frameworks call their copy of the weights. Source: the names that
# https://github.com/huggingface/transformers/blob/main/src/transformers/utils/__init__.py defines,
# and those of optimum's exporters.
_OTHER_FRAMEWORKS = re.compile(
    r"tf_model.*\.h5|flax_model.*\.msgpack|rust_model\.ot|.*\.onnx(_data|\.data)?|.*\.tflite"
    r"|openvino_.*|.*\.mlmodel|.*\.ckpt\.(index|meta|data-.*)"
)
_EXPORT_FOLDERS = frozenset({"onnx", "openvino", "coreml", "tflite"})
_TORCH_WEIGHTS = re.compile(
    r"(pytorch_model|diffusion_pytorch_model|model|adapter_model|consolidated)"
    r"[-.\w]*\.(bin|pt|pth|ckpt)(\.index\.json)?"
)
# What transformers' Trainer leaves beside a model: pickles that only training reads.
_TRAINING = re.compile(r"training_args\.bin|optimizer\.(bin|pt)|scheduler\.(bin|pt)"
                       r"|scaler\.pt|rng_state.*\.pth")  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """The files to fetch.

    Args:
        files: Their paths, sorted.
        left_out: The paths of the model's other files, sorted.
    """

    files: tuple[str, ...]
    left_out: tuple[str, ...]


def select(
    names: Iterable[str],
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    matching: Callable[[Iterable[str], Sequence[str] | None, Sequence[str] | None], Iterable[str]],
) -> Selection:
    """Choose the files of a repository.

    Where nothing is said about what to include, a model that has safetensors is taken without the
    same weights in other formats, and without what only training reads.

    Args:
        names: The repository's files.
        include: Patterns of the files to take, as BentoML has them.
        exclude: Patterns of the files to leave.
        matching: The hub's own way of applying patterns, which services rely on.
    """
    visible = sorted(name for name in names if not _is_hidden(name))
    matched = sorted(matching(visible, include, exclude))
    if include is not None:
        return Selection(tuple(matched), ())
    folders = {PurePosixPath(name).parent for name in matched if name.endswith(".safetensors")}
    kept = tuple(name for name in matched if not _is_double(name, folders))
    return Selection(kept, tuple(name for name in matched if name not in set(kept)))


def _is_double(name: str, folders: set[PurePosixPath]) -> bool:
    path = PurePosixPath(name)
    if _TRAINING.fullmatch(path.name):
        return True
    if not folders:
        return False
    if _OTHER_FRAMEWORKS.fullmatch(path.name) or _EXPORT_FOLDERS & set(path.parts[:-1]):
        return True
    return path.parent in folders and _TORCH_WEIGHTS.fullmatch(path.name) is not None


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
