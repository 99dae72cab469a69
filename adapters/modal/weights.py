"""A function's volume: the weights of its models, by their digest, and its records."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.modal.bento import model_files, model_folder
from bentofn.adapters.modal.desired import Desired, volume_name
from bentofn.adapters.modal.session import Session
from bentofn.adapters.protocol import Progress
from bentofn.runtime.manifest import ModelReference


@dataclass(frozen=True)
class Weights:
    """The files of a model.

    Args:
        model: It.
        files: Path in the volume to the file here.
        present: Whether the volume has all of them.
    """

    model: ModelReference
    files: Mapping[str, Path]
    present: bool

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(path.stat().st_size for path in self.files.values())


def weights_of(desired: Desired, volume: Mapping[str, int]) -> Iterator[Weights]:
    """The models of a function, and whether its volume has them.

    Args:
        desired: The function.
        volume: The files of its volume, to their bytes.

    Raises:
        UserError: The bento is damaged, or the disk is full.
    """
    root = desired.bento.root()
    for model in desired.bento.manifest.models:
        files = {f"{model_folder(model)}/{path}": file for path, file in model_files(root, model)}
        there = all(volume.get(path) == file.stat().st_size for path, file in files.items())
        yield Weights(model, files, there)


def fill_volume(
    session: Session, desired: Desired, volume: Mapping[str, int], progress: Progress
) -> None:
    """Put what a function's volume lacks into it, all at once: its weights and its record.

    Args:
        session: Modal.
        desired: The function.
        volume: The files of its volume, to their bytes.
        progress: Told about what is sent.
    """
    import modal

    missing = [each for each in weights_of(desired, volume) if not each.present]
    record = desired.record
    if not missing and record.path.lstrip("/") in volume:
        return
    for each in missing:
        name = f"{each.model.name}:{each.model.version}"
        progress(f"Sending {name} to the volume {volume_name(desired.name)}")
    handle = modal.Volume.from_name(volume_name(desired.name), create_if_missing=True)
    handle.hydrate(session.client)
    with handle.batch_upload(force=True) as batch:
        for each in missing:
            for path, file in each.files.items():
                batch.put_file(file, f"/{path}")
        batch.put_file(io.BytesIO(record.to_json()), record.path)


def remove_volume(session: Session, function: str) -> bool:
    """Remove a function's volume; whether there was one."""
    import modal

    name = volume_name(function)
    try:
        modal.Volume.from_name(name).hydrate(session.client)
    except modal.exception.NotFoundError:
        return False
    modal.Volume.objects.delete(name, allow_missing=True, client=session.client)
    return True
