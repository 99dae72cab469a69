"""A safetensors file on a disk."""

from __future__ import annotations

import os

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, read_header_from
from bentofn.runtime.weights.sources.local import LocalFile


class FileSource(LocalFile):
    """An open file, as a :class:`bentofn.runtime.weights.sources.base.Source`.

    Args:
        path: The file.

    Raises:
        UserError: It cannot be read, or is no whole safetensors file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        try:
            with open(self.descriptor, "rb", closefd=False) as file:
                self._header = read_header_from(file, self.path, self.size)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):  # a directory
                raise UserError(f"Cannot read {self.path}: {error.strerror}.") from error
            raise

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def header(self) -> SafetensorsHeader:
        return self._header
