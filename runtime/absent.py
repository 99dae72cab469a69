"""Tells what to do in place of a module of BentoML's that the drop-in does not carry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

from bentofn.runtime import surface

_PACKAGES = ("bentoml", "_bentoml_impl", "_bentoml_sdk")


class AbsentModules:
    """The last finder that is asked: its ImportError says what to do.

    It answers for ``from bentoml import pytorch`` too, where the package's own AttributeError would
    be replaced by an error that says nothing.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Refuse a module of BentoML's that nobody has found.

        Raises:
            ImportError: The module is BentoML's.
        """
        if "." in name and name.partition(".")[0] in _PACKAGES:
            raise ImportError(surface.absent(name), name=name)


def tell() -> None:
    """Have imports of what is absent say so."""
    if not any(isinstance(finder, AbsentModules) for finder in sys.meta_path):
        sys.meta_path.append(AbsentModules())
