"""A bento's files for an image of Modal's, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.bento import KnownBento, known_bento
from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import ModelReference


@dataclass(frozen=True)
class Bento(KnownBento):
    """A bento, not yet unpacked.

    Args:
        home: Where it is unpacked.
    """

    home: Home

    def root(self) -> BentoRoot:
        """Its files, unpacked where that was not done before.

        Raises:
            UserError: A layer is damaged, or the disk is full.
        """
        if self.tag.startswith("/"):
            return BentoRoot(Path(self.tag))
        return BentoRoot(materialise(self.home, Store(self.home).get("bento", self.tag)))


def find_bento(home: Home, reference: str) -> Bento:
    """Find a bento; nothing is unpacked.

    Args:
        home: Whose store.
        reference: ``name[:version]``, or the absolute path of an unpacked bento.

    Raises:
        UserError: There is no such bento.
    """
    known = known_bento(home, reference)
    return Bento(known.tag, known.digest, known.manifest, home)


def model_folder(model: ModelReference) -> str:
    """The folder of a model's files in the volume: its digest, in hex."""
    return model.digest.removeprefix("sha256:")


def model_files(root: BentoRoot, model: ModelReference) -> Iterator[tuple[str, Path]]:
    """The files of a model: the path below its folder, and where they are, in order."""
    folder = root.models / model.name / model.version
    for path in sorted(folder.resolve().rglob("*")):
        if path.is_file():
            yield path.relative_to(folder.resolve()).as_posix(), path.resolve()
