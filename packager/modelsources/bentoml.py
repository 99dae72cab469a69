"""Models of BentoML's own store, and the files that ``bentoml models export`` writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bentofn.packager.bentoml.documents import read_document
from bentofn.packager.bentoml.unpack import holds, unpack
from bentofn.packager.files import make_directory
from bentofn.packager.modelsources.source import Fetched, Report
from bentofn.runtime.errors import UserError
from bentofn.runtime.modelinfo import FACTS

MODEL_FILE = "model.yaml"


class BentoMLSource:
    """A folder such as ``~/bentoml/models/NAME/VERSION``, the one above it, or a .bentomodel."""

    def detects(self, text: str) -> bool:
        path = Path(text)
        return model_folder(path) is not None or (path.is_file() and holds(path, MODEL_FILE))

    def fetch(self, text: str, scratch: Path, report: Report) -> Fetched:
        path = Path(text)
        folder = model_folder(path) or unpack(path, make_directory(scratch / "unpacked"))
        found = read_model(folder)
        report(f"Importing {found.name}:{found.version} of BentoML")
        return found


def model_folder(path: Path) -> Path | None:
    """The folder of a model of BentoML: the given one, or the newest version in it."""
    if (path / MODEL_FILE).is_file():
        # Somebody else's file may have that name too.
        with suppress(UserError):
            model = read_document(path / MODEL_FILE)
            return path if {"name", "version", "api_version"} <= model.keys() else None
        return None
    latest = path / "latest"
    if not latest.is_file() or latest.stat().st_size > 200:
        return None
    version = latest.read_text(errors="replace").strip()
    if not version or Path(version).name != version:
        return None
    return model_folder(path / version)


def home_model(tag: str) -> Path | None:
    """The folder of a model in BentoML's own store on this machine, ``$BENTOML_HOME/models``.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``.
    """
    home = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")
    parts = tag.lower().removesuffix(":latest").split(":")
    if len(parts) > 2 or not all(part and Path(part).name == part for part in parts):
        return None
    return model_folder(home.joinpath("models", *parts))


def read_model(folder: Path) -> Fetched:
    """A model as its folder says it is; its description stays among its files.

    Raises:
        UserError: Its description is none that BentoML wrote.
    """
    model = read_document(folder / MODEL_FILE)
    origin = {"source": "bentoml", **{key: model[key] for key in FACTS if key in model}}
    return Fetched(
        folder,
        str(model.get("name", "")),
        str(model.get("version", "")),
        {str(key): str(value) for key, value in _mapping(model.get("labels")).items()},
        _mapping(model.get("metadata")),
        origin,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
