"""What ``import bentoml`` finds in a bento of bentofn: bentofn's runtime by BentoML's names."""

from __future__ import annotations

from typing import Any

import bentofn
from bentofn.runtime import absent, surface

__version__ = surface.BENTOML_VERSION
__bentofn_version__ = bentofn.__version__

absent.tell()


def __getattr__(name: str) -> Any:
    value = surface.find(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(
        {
            *surface.HOMES,
            *surface.MODULES,
            *surface.FRAMEWORKS,
            "__bentofn_version__",
            "__version__",
        }
    )
