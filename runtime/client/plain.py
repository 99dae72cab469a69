"""Arguments as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_json(value: Any, schema: Mapping[str, Any]) -> bytes:
    """A value as the JSON that its schema describes.

    Raises:
        TypeError: It cannot be written as JSON.
    """
    from pydantic_core import PydanticSerializationError, to_json

    value = _plain(value, schema)
    try:
        return to_json(value, fallback=_plain_array, inf_nan_mode="constants")
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from error


def _plain(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value whose data frames are written as the schema says."""
    if schema.get("type") == "dataframe" and hasattr(value, "to_dict"):
        return value.to_dict(orient="list" if schema.get("orient") == "columns" else "records")
    if schema.get("type") == "array" and isinstance(value, (list, tuple)):
        return [_plain(each, schema.get("items", {})) for each in value]
    if isinstance(value, dict) and schema.get("properties"):
        properties = schema["properties"]
        return {name: _plain(each, properties.get(name, {})) for name, each in value.items()}
    return value


def _plain_array(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    elif hasattr(value, "numpy") and not hasattr(value, "tolist"):  # of TensorFlow
        value = value.numpy()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict(orient="records")
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
