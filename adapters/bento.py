"""A bento as the store knows it, for adapters that make something of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest


@dataclass(frozen=True)
class KnownBento:
    """A bento, unpacked or not.

    Args:
        tag: ``name:version``, or the path that it was given by.
        digest: Its digest.
        manifest: What it says about itself.
    """

    tag: str
    digest: str
    manifest: BentoManifest


def known_bento(home: Home, reference: str) -> KnownBento:
    """Find a bento, and unpack nothing.

    Args:
        home: Whose store.
        reference: ``name[:version]``, or the absolute path of an unpacked bento.

    Raises:
        UserError: There is no such bento.
    """
    if not reference.startswith("/"):
        store = Store(home)
        entry = store.get("bento", reference)
        return KnownBento(entry.tag, entry.digest, store.bento(entry))
    root = BentoRoot(Path(reference))
    if not root.manifest.is_file():
        raise UserError(f"{reference} holds no bento.json; give the path of an unpacked bento.")
    content = root.manifest.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return KnownBento(reference, digest, BentoManifest.from_json(content))
