"""What a project that is served where it stands needs of BentoML's own package."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from bentofn.runtime import surface


def needed_of_bentoml(directory: Path, service: str) -> tuple[str, ...]:
    """The names that a service uses and bentofn does not carry, where BentoML is installed beside.

    Args:
        directory: What the service is imported from.
        service: ``module:Class`` or ``file.py:Class`` in it.
    """
    beside = importlib.util.find_spec("bentoml")
    if beside is None or beside.origin is None or beside.origin.startswith(surface.dropin()):
        return ()
    # Most starts do without a parser.
    from bentofn.packager.code.sdk_names import missing_names, reached, used_names

    return missing_names(used_names(reached(_Sources(directory), service)))


class _Sources(Mapping[str, bytes]):
    """The files of a folder, each read when it is asked for: there may be an environment, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, path: str) -> bytes:
        try:
            return (self._folder / path).read_bytes()
        except OSError:
            raise KeyError(path) from None

    def __contains__(self, path: object) -> bool:
        return (self._folder / str(path)).is_file()

    def __iter__(self) -> Iterator[str]:
        return (each.relative_to(self._folder).as_posix() for each in self._folder.rglob("*.py"))

    def __len__(self) -> int:
        return sum(1 for _ in self)
