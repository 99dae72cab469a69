"""What the fields of a form stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from bentofn.runtime.io.files import uploaded
from bentofn.runtime.io.kinds import bare, is_list, plain, takes_files


def form_value(annotation: Any, values: Sequence[Any]) -> Any:
    """What the fields of one name say, as what a validator takes.

    Args:
        annotation: The parameter's type.
        values: The fields' texts or files, in order.
    """
    decoded = [_decode(annotation, value) for value in values]
    if not is_list(annotation):
        return decoded[-1]
    return decoded[0] if len(decoded) == 1 and isinstance(decoded[0], list) else decoded


def _decode(annotation: Any, value: Any) -> Any:
    """A form's value: JSON where it is JSON and no text is asked for, else as it came."""
    if takes_files(annotation):
        return value
    source = uploaded(value)
    text = value if source is None else source.read()
    try:
        data = from_json(text)
    except ValueError:
        return text
    wants_text = plain(annotation) is str and not isinstance(data, str)
    return text if wants_text and not (data is None and bare(annotation) is not str) else data
