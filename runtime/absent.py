"""Tells what to do in place of a name of BentoML's that the drop-in does not carry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

from bentofn.runtime import surface


class AbsentModules:
    """A finder for ``from bentoml import pytorch``: its ImportError says what to do.

    The module's own AttributeError would be replaced by one that says nothing.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Refuse what is known to be absent.

        Raises:
            ImportError: The module is BentoML's, and the drop-in does not carry it.
        """
        package, _, rest = name.partition(".")
        if package == "bentoml" and rest in surface.ABSENT:
            raise ImportError(surface.absent(name), name=name)


def tell() -> None:
    """Have imports of what is absent say so; asked first, once in a process."""
    if not any(isinstance(finder, AbsentModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, AbsentModules())
