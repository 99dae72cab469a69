"""Weights into modules of torch, also such as were built on no device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bentofn.runtime.weights.loading import load_file

if TYPE_CHECKING:
    import torch


def load_model(
    model: torch.nn.Module,
    filename: str | os.PathLike[str],
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
    dtype: torch.dtype | None = None,
    assign: bool | None = None,
) -> tuple[list[str], list[str]]:
    """Give a module the weights of a file; takes what ``safetensors.torch.load_model`` takes.

    Args:
        model: The module. Built ``with torch.device("meta")`` it costs neither time nor memory.
        filename: The file.
        strict: Whether a name that is missing in the file or in the module is an error.
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
    from safetensors.torch import _remove_duplicate_names

    before = model.state_dict(keep_vars=True)
    if assign is None:
        assign = any(tensor.is_meta for tensor in before.values())
    loaded = load_file(filename, device, backend=backend, dtype=dtype)
    # What shares memory is in the file once.
    shared = _remove_duplicate_names(model.state_dict(), preferred_names=set(loaded))
    incompatible = model.load_state_dict(loaded, strict=False, assign=assign)
    missing, unexpected = set(incompatible.missing_keys), list(incompatible.unexpected_keys)
    if assign:
        missing -= _tie(model, before, missing)
    for names in shared.values():
        unexpected += [name for name in names if name not in missing and name in loaded]
        missing -= set(names)
    if strict and (missing or unexpected):
        raise RuntimeError(_message(model, sorted(missing), sorted(unexpected)))
    return sorted(missing), unexpected


def _tie(model: torch.nn.Module, before: dict[str, torch.Tensor], missing: set[str]) -> set[str]:
    """Give names that were one tensor with others the tensor that those have now."""
    names: dict[int, list[str]] = {}
    for name, tensor in before.items():
        names.setdefault(id(tensor), []).append(name)
    now = model.state_dict(keep_vars=True)
    tied = set()
    for name in missing:
        source = next((other for other in names[id(before[name])] if other not in missing), None)
        if source is not None:
            module, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(module), attribute, now[source])
            tied.add(name)
    return tied


def _message(model: torch.nn.Module, missing: list[str], unexpected: list[str]) -> str:
    """What safetensors says."""
    lines = [f"Error(s) in loading state_dict for {type(model).__name__}:"]
    if missing:
        lines.append("    Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing))
    if unexpected:
        names = ", ".join(f'"{k}"' for k in sorted(unexpected))
        lines.append(f"    Unexpected key(s) in state_dict: {names}")
    return "\n".join(lines)
