"""From a torch checkpoint (a pickle) to safetensors, or a refusal that says why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentofn.packager.files import atomic_write, publish, temporary_file
from bentofn.packager.modelstore.checkpoint import SAVE_AGAIN, read_checkpoint, wrapper
from bentofn.packager.modelstore.safetensors_file import encode_header, lay_out
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import METADATA_KEY, read_header

CHECKPOINT_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
INDEX_SUFFIX = ".index.json"

_DTYPES = {
    "torch.bfloat16": "BF16",
    "torch.bool": "BOOL",
    "torch.complex64": "C64",
    "torch.float16": "F16",
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e4m3fnuz": "F8_E4M3FNUZ",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.float8_e5m2fnuz": "F8_E5M2FNUZ",
    "torch.float8_e8m0fnu": "F8_E8M0",
    "torch.int16": "I16",
    "torch.int32": "I32",
    "torch.int64": "I64",
    "torch.int8": "I8",
    "torch.uint16": "U16",
    "torch.uint32": "U32",
    "torch.uint64": "U64",
    "torch.uint8": "U8",
}


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Args:
        files: The files written: safetensors, and the index last where there is one.
        tied: Name of a tensor that was left out to the name whose tensor it is.
        ignored: Entries beside the state dict that were left out (optimizer, epoch...).
        tensors: Number of tensors in the files.
        size: Bytes of their data.
    """

    files: tuple[Path, ...]
    tied: Mapping[str, str]
    ignored: tuple[str, ...]
    tensors: int
    size: int


@dataclass(frozen=True)
class _Checkpoint:
    tensors: Mapping[str, Any]
    ignored: tuple[str, ...]


def convert_checkpoint(source: Path, target: Path) -> Conversion:
    """Convert a checkpoint of plain tensors; nothing in it is executed.

    Two names of the same tensor (tied weights) are stored once, under the name that comes first
    in the checkpoint; the file's metadata maps the others to it. Tensors that share memory but
    differ (a slice, a transpose) are stored separately. The same tensors and names give the same
    bytes. The result is read back and compared before it gets its name.

    Args:
        source: A ``.pt``, ``.pth`` or ``.bin`` file, or a ``*.index.json`` of sharded ones beside
            it.
        target: The safetensors file to write, in a directory that exists; for an index the new
            index, its shards beside it.

    Raises:
        UserError: The checkpoint is damaged, holds anything but tensors that safetensors can hold,
            or torch is missing.
    """
    if source.name.endswith(INDEX_SUFFIX):
        return _convert_shards(source, target)
    return _convert_file(source, target, _load(source))


def _convert_file(source: Path, target: Path, checkpoint: _Checkpoint) -> Conversion:
    tied = _find_tied(checkpoint.tensors)
    kept = {name: value for name, value in checkpoint.tensors.items() if name not in tied}
    layout = lay_out(
        {name: (_DTYPES[str(value.dtype)], tuple(value.shape)) for name, value in kept.items()}
    )
    metadata = {**tied, "format": "pt"}
    with temporary_file(target.parent) as temporary:
        temporary.file.write(encode_header(layout, metadata))
        for name in layout:
            temporary.file.write(_bytes_of(kept[name]).numpy().data)
        temporary.file.flush()
        _verify(source, temporary.path, kept)
        publish(temporary, target)
    size = sum(info.stop - info.start for info in layout.values())
    return Conversion((target,), tied, checkpoint.ignored, len(layout), size)


def _convert_shards(source: Path, target: Path) -> Conversion:
    weight_map = _read_index(source)
    shards = {shard: _shard_target(target, shard) for shard in sorted(set(weight_map.values()))}
    if len(set(shards.values())) < len(shards):
        raise UserError(f"{source} names shards that differ only in their suffix; rename them.")
    done: list[Conversion] = []
    converted: dict[str, str] = {}
    for shard, shard_target in shards.items():
        checkpoint = _load(source.parent / shard)
        listed = {name for name, file in weight_map.items() if file == shard}
        for name in sorted(listed ^ set(checkpoint.tensors)):
            place, other = (source, shard) if name in listed else (shard, source)
            raise UserError(f"{place} has tensor {name!r}, {other} has not; download both again.")
        done.append(_convert_file(source.parent / shard, shard_target, checkpoint))
        converted |= dict.fromkeys(listed - set(done[-1].tied), shard_target.name)
    size = sum(each.size for each in done)
    index = {"metadata": {"total_size": size}, "weight_map": converted}
    atomic_write(target, json.dumps(index, indent=2, sort_keys=True).encode() + b"\n")
    return Conversion(
        files=(*shards.values(), target),
        tied={dropped: name for each in done for dropped, name in each.tied.items()},
        ignored=tuple(sorted({name for each in done for name in each.ignored})),
        tensors=sum(each.tensors for each in done),
        size=size,
    )


def _read_index(source: Path) -> dict[str, str]:
    try:
        index = json.loads(source.read_bytes())
    except OSError as error:
        raise UserError(f"Cannot read {source}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source} is not JSON ({error}); download it again.") from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{source} has no weight_map; it is not the index of a checkpoint.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _is_shard_name(shard):
            raise UserError(
                f"{source} says that tensor {name!r} is in {shard!r}; it must name a .bin, .pt or "
                ".pth file beside the index."
            )
    return weight_map


def _is_shard_name(shard: str) -> bool:
    return Path(shard).name == shard and Path(shard).suffix in CHECKPOINT_SUFFIXES


def _shard_target(target: Path, shard: str) -> Path:
    return target.with_name(f"{Path(shard).stem.removeprefix('pytorch_')}.safetensors")


def _load(source: Path) -> _Checkpoint:
    content = read_checkpoint(source)
    ignored: list[str] = []
    while inner := wrapper(content):
        ignored += [str(key) for key in content if key != inner]
        content = content[inner]
    if not isinstance(content, dict):
        raise UserError(f"{source} holds a {type(content).__name__}, no state dict; {SAVE_AGAIN}.")
    if not content:
        raise UserError(f"{source} holds no tensors; {SAVE_AGAIN}.")
    for name, value in content.items():
        if reason := _obstacle(name, value):
            raise UserError(f"{source} cannot become safetensors: {reason}.")
    return _Checkpoint(content, tuple(sorted(ignored)))


def _obstacle(name: object, value: Any) -> str | None:
    """Why an entry of a state dict cannot be stored, if so."""
    import torch

    if not isinstance(name, str):
        return f"its key {name!r} is a {type(name).__name__}, not a name"
    if name == METADATA_KEY or not _is_unicode(name):
        return f"safetensors cannot hold a tensor of the name {name!r}"
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        return f"its key {name!r} is a {type(value).__name__}, not a plain tensor; {SAVE_AGAIN}"
    if value.is_meta:
        return f"tensor {name!r} has a shape but no data (device meta)"
    if value.layout != torch.strided or value.is_nested:
        form = "nested" if value.is_nested else f"sparse ({value.layout})"
        return f"tensor {name!r} is {form}; make it dense before saving"
    if str(value.dtype) not in _DTYPES:
        return f"tensor {name!r} has dtype {value.dtype}, which the format lacks; cast it first"
    return None


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_tied(tensors: Mapping[str, Any]) -> dict[str, str]:
    first: dict[tuple[Any, ...], str] = {}
    tied: dict[str, str] = {}
    for name, value in tensors.items():
        if not value.numel():
            continue
        view = (
            value.untyped_storage().data_ptr(),
            value.storage_offset(),
            value.shape,
            value.stride(),
            value.dtype,
            value.is_conj(),
            value.is_neg(),
        )
        kept = first.setdefault(view, name)
        if kept != name:
            tied[name] = kept
    return tied


def _bytes_of(value: Any) -> Any:
    """A tensor's bytes as a flat uint8 tensor, a copy only where it is not contiguous."""
    import torch

    plain = value.detach().resolve_conj().resolve_neg().contiguous()
    return plain.reshape(-1).view(torch.uint8)


def _verify(source: Path, written: Path, tensors: Mapping[str, Any]) -> None:
    # The reference implementation reads what we wrote; bytes are compared, as NaN equals nothing.
    import torch
    from safetensors import safe_open

    names: Iterable[str] = read_header(written).tensors
    with safe_open(written, framework="pt") as file:
        same = set(names) == set(tensors) and all(
            (read := file.get_tensor(name)).dtype == value.dtype
            and read.shape == value.shape
            and torch.equal(_bytes_of(read), _bytes_of(value))
            for name, value in tensors.items()
        )
    if not same:
        raise UserError(
            f"{source} changed while it was converted, or the disk is failing; convert it again."
        )
