"""A bento's files for an image of Modal's, and what it says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ModelReference


@dataclass(frozen=True)
class Bento:
    """A bento, not yet unpacked.

    Args:
        tag: ``name:version``, or the path that it was given by.
        digest: Its digest.
        manifest: What it says.
        home: Where it is unpacked.
    """

    tag: str
    digest: str
    manifest: BentoManifest
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
    if reference.startswith("/"):
        root = BentoRoot(Path(reference))
        if not root.manifest.is_file():
            raise UserError(f"{reference} holds no bento.json; give the path of an unpacked bento.")
        content = root.manifest.read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Bento(reference, digest, BentoManifest.from_json(content), home)
    store = Store(home)
    entry = store.get("bento", reference)
    return Bento(entry.tag, entry.digest, store.bento(entry), home)


def model_folder(model: ModelReference) -> str:
    """The folder of a model's files in the volume: its digest, in hex."""
    return model.digest.removeprefix("sha256:")


def model_files(root: BentoRoot, model: ModelReference) -> Iterator[tuple[str, Path]]:
    """The files of a model: the path below its folder, and where they are, in order."""
    folder = root.models / model.name / model.version
    for path in sorted(folder.resolve().rglob("*")):
        if path.is_file():
            yield path.relative_to(folder.resolve()).as_posix(), path.resolve()
