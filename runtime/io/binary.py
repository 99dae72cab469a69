"""Arrays as bodies of their own: ``.npy`` for one, safetensors for several by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from pydantic_core import from_json

from bentofn.runtime.errors import BadInput
from bentofn.runtime.io import ndarray, npy, safetensors, tensor, tensorflow
from bentofn.runtime.io.kinds import plain

NPY = ("application/vnd.bentofn+npy", "application/x-npy")
SAFETENSORS = "application/vnd.bentofn+safetensors"
MEDIA_TYPES = (*NPY, SAFETENSORS)

RESULT = "result"
"""Name of a result that is one array, in a safetensors body."""

_FAMILIES = (ndarray, tensor, tensorflow)


def is_array(annotation: Any) -> bool:
    """Whether values of a type are arrays."""
    return any(family.matches(plain(annotation)) for family in _FAMILIES)


def is_mapping(annotation: Any) -> bool:
    """Whether values of a type are arrays by name."""
    inner = plain(annotation)
    arguments = get_args(inner)
    return get_origin(inner) is dict and arguments[0] is str and is_array(arguments[1])


def taken_by(types: Mapping[str, Any]) -> tuple[str, ...]:
    """The media types in which parameters of these types may come."""
    arrays = sum(map(is_array, types.values()))
    if not arrays:
        return ()
    return MEDIA_TYPES if len(types) == 1 else (SAFETENSORS,)


def decode(body: bytearray, media_type: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of a body by parameter.

    Args:
        body: The body, whose memory the arrays share.
        media_type: One of :data:`MEDIA_TYPES`.
        names: The endpoint's parameters.

    Raises:
        BadInput: It is not what its media type says.
    """
    try:
        if media_type in NPY:
            return {names[0]: npy.decode(body)}
        arrays, metadata = safetensors.decode(body)
        values = {name: _value(text) for name, text in metadata.items()}
    except (ValueError, OverflowError) as error:
        raise BadInput(f"The body cannot be read: {error}.") from error
    return {**values, **arrays}


def _value(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return text


def encoder(annotation: Any) -> Callable[[Any, str], bytes] | None:
    """Writes results of a type, which were checked, as one of :data:`MEDIA_TYPES`; None where they
    are no arrays."""
    if is_array(annotation):
        return _encode_one
    return _encode_named if is_mapping(annotation) else None


def offered_for(annotation: Any) -> tuple[str, ...]:
    """The media types in which results of a type may be sent beside JSON."""
    if is_array(annotation):
        return MEDIA_TYPES
    return (SAFETENSORS,) if is_mapping(annotation) else ()


def _encode_one(value: Any, media_type: str) -> bytes:
    array = as_numpy(value)
    return npy.encode(array) if media_type in NPY else safetensors.encode({RESULT: array})


def _encode_named(value: Mapping[str, Any], media_type: str) -> bytes:
    return safetensors.encode({name: as_numpy(array) for name, array in value.items()})


def as_numpy(value: Any) -> Any:
    """A tensor of any library as numpy's array.

    Raises:
        ValueError: Some values are masked (``numpy.ma``), which no format can say.
    """
    if hasattr(value, "mask"):
        raise ValueError("an array with a mask cannot be sent as it is")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # numpy has none
            value = value.float()
    return value.numpy() if hasattr(value, "numpy") else value
