"""Weights into modules of torch, also such as were built on no device."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from bentofn.runtime.stages import stage
from bentofn.runtime.weights.loading import load_files

if TYPE_CHECKING:
    import torch


def load_model(
    model: torch.nn.Module,
    filename: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
    dtype: torch.dtype | None = None,
    assign: bool | None = None,
) -> tuple[list[str], list[str]]:
    """Give a module the weights of a file, or of several: the shards of a model.

    It takes what ``safetensors.torch.load_model`` takes.

    Args:
        model: The module. Built ``with torch.device("meta")`` it costs neither time nor memory.
        filename: The file, or all of its shards.
        strict: Whether a name that is missing in the files or in the module is an error.
        device: Where the tensors are loaded.
        backend: As for :func:`load_file`.
        dtype: As for :func:`load_file`.
        assign: Whether the file's tensors become the module's own, which copies nothing; by
            default where a tensor of the module is on the meta device.

    Returns:
        The names that the file lacks, and those that the module lacks.

    Raises:
        RuntimeError: They do not fit each other, as torch says it.
        UserError: As :func:`load_file`.
    """
    with stage("weights.load"):
        before = _tensors(model)
        if assign is None:
            assign = any(tensor.is_meta for tensor in before.values())
        files = [filename] if isinstance(filename, str | os.PathLike) else filename
        loaded = load_files(files, device, backend=backend, dtype=dtype)
        shared = _shared(before, loaded)
        incompatible = model.load_state_dict(loaded, strict=False, assign=assign)
        missing, unexpected = set(incompatible.missing_keys), list(incompatible.unexpected_keys)
        for name, others in shared.items():
            unexpected += [each for each in others if each not in missing]
            # What only shares memory with a tensor is not given that one's new memory.
            same = [each for each in others if before[each] is before[name] or not assign]
            if assign:
                _tie(model, name, same)
            missing -= set(same)
    if strict and (missing or unexpected):
        raise RuntimeError(_message(model, sorted(missing), sorted(unexpected)))
    return sorted(missing), unexpected


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What a module keeps in files, the very objects; not what else it keeps, such as a recipe."""
    import torch

    state = model.state_dict(keep_vars=True)
    return {name: each for name, each in state.items() if isinstance(each, torch.Tensor)}


def _shared(before: dict[str, torch.Tensor], names: Collection[str]) -> dict[str, list[str]]:
    """Of tensors that are one, or share memory, the name of each that is kept to the others.

    Args:
        before: A module's.
        names: Those of the file, which are kept rather than others.

    Raises:
        RuntimeError: None of those that share memory holds all of it, as safetensors says it.
    """
    from safetensors.torch import _remove_duplicate_names

    shared: dict[str, list[str]] = _remove_duplicate_names(before, preferred_names=list(names))
    groups: dict[int, list[str]] = {}
    for name, tensor in before.items():
        if tensor.is_meta:  # which has no memory to tell it by
            groups.setdefault(id(tensor), []).append(name)
    for group in groups.values():
        kept = min(group, key=lambda name: (name not in names, name))
        if len(group) > 1:
            shared[kept] = sorted(set(group) - {kept})
    return shared


def _tie(model: torch.nn.Module, name: str, others: Sequence[str]) -> None:
    """Have a module's tensors be one again."""

    def place(path: str) -> tuple[torch.nn.Module, str]:
        owner, _, attribute = path.rpartition(".")
        return model.get_submodule(owner), attribute

    tensor = getattr(*place(name))
    for each in others:
        setattr(*place(each), tensor)


def _message(model: torch.nn.Module, missing: list[str], unexpected: list[str]) -> str:
    """What safetensors says."""
    lines = [f"Error(s) in loading state_dict for {type(model).__name__}:"]
    if missing:
        lines.append("    Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing))
    if unexpected:
        names = ", ".join(f'"{k}"' for k in sorted(unexpected))
        lines.append(f"    Unexpected key(s) in state_dict: {names}")
    return "\n".join(lines)
