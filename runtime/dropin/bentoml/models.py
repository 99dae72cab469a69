"""``bentoml.models``."""

from typing import Any

import bentofn.models

__all__ = bentofn.models.__all__


def __getattr__(name: str) -> Any:
    return getattr(bentofn.models, name)
