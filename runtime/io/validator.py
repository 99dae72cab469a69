"""What checks a value."""

from __future__ import annotations

from typing import Any, Protocol


class Validator(Protocol):
    """A validator of pydantic: that of its core, or one that a plugin of pydantic watches."""

    def validate_json(self, data: bytes, /, *, context: Any = None) -> Any:
        """The value that a JSON text stands for, checked."""

    def validate_python(self, value: Any, /, *, context: Any = None) -> Any:
        """A value, checked."""
