"""What a source of models is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Report = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """A model's files on this machine, and what its source says about it.

    Args:
        files: A folder, one file, or path in the model to file.
        name: The name that the source gives it.
        version: The version that the source gives it; None takes the content's digest.
        labels: The source's labels.
        metadata: The source's metadata, as JSON can hold it.
        origin: Where exactly it is from, as JSON can hold it.
    """

    files: Path | Mapping[str, Path]
    name: str
    version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """One kind of place that models come from."""

    def detects(self, text: str) -> bool:
        """Whether what the user wrote names a model of this kind of place."""
        ...

    def fetch(self, text: str, scratch: Path, report: Report) -> Fetched:
        """Make the model's files readable here.

        Args:
            text: What the user wrote.
            scratch: A temporary folder that lives until the model is stored.
            report: Told what takes time and what is left out.

        Raises:
            UserError: There is no such model, or it cannot be read.
        """
        ...
