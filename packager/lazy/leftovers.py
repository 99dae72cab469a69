"""What lazy pulls left behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.store import Entry, Store


def lazy_leftovers(home: Home, store: Store, bentos: Sequence[Entry]) -> list[Path]:
    """Figures of bentos that are gone, and tables of contents that no lazy bento needs.

    Args:
        home: The home.
        store: Its store.
        bentos: All that it has.
    """
    figures = {_hex(entry.digest) for entry in bentos} | {"tables", "boots"}
    needed = {_hex(b.digest) for entry in bentos if entry.lazy for b in store.descriptors(entry)}
    lazy = home.cache / "lazy"
    return [
        *(path for path in sorted(lazy.glob("*")) if path.name not in figures),
        *(path for path in sorted(lazy.glob("tables/*")) if path.name not in needed),
    ]


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
