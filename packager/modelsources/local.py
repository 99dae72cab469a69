"""Models in a file or a folder of this machine."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.modelsources.source import Fetched, Report


class LocalSource:
    """A file or a folder."""

    def detects(self, text: str) -> bool:
        return True

    def fetch(self, text: str, scratch: Path, report: Report) -> Fetched:
        path = Path(text)
        report(f"Importing {text}")
        name = path.absolute().name
        return Fetched(path, name.removesuffix(path.suffix) if path.is_file() else name)
