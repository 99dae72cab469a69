"""Models in a file or a folder of this machine."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.bentoml.bento import BENTO_FILE, is_bento
from bentofn.packager.bentoml.unpack import holds
from bentofn.packager.modelsources.source import Fetched, Report
from bentofn.runtime.errors import UserError


class LocalSource:
    """A file or a folder."""

    def detects(self, text: str) -> bool:
        return True

    def fetch(self, text: str, scratch: Path, report: Report) -> Fetched:
        path = Path(text)
        if is_bento(path):
            raise UserError(f"{text} is a bento of BentoML, no model; use `bentofn build {text}`.")
        if path.is_file() and holds(path, BENTO_FILE):
            raise UserError(f"{text} is a bento of BentoML, no model; use `bentofn import {text}`.")
        report(f"Importing {text}")
        name = path.absolute().name
        return Fetched(path, name.removesuffix(path.suffix) if path.is_file() else name)
