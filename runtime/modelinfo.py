"""What BentoML's code asks of a model besides its files: ``model.info``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from bentofn.runtime.surface import BENTOML_VERSION
from bentofn.runtime.tags import Tag

FACTS = ("module", "api_version", "creation_time", "signatures", "options", "context")
"""What ``model.yaml`` says of a model besides its name, version, labels and metadata."""

_UNKNOWN_TIME = datetime.fromtimestamp(0, timezone.utc)


class ModelOptions(SimpleNamespace):
    """What a framework's module keeps of a model, such as the class to load it into."""

    def with_options(self, **changes: Any) -> ModelOptions:
        """The same with changes."""
        return ModelOptions(**{**vars(self), **changes})

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class ModelContext:
    """What a model was made with.

    Args:
        framework_name: The framework.
        framework_versions: Its packages to their versions.
        bentoml_version: The BentoML, or the one whose surface bentofn had.
        python_version: The interpreter.
    """

    framework_name: str
    framework_versions: Mapping[str, str]
    bentoml_version: str = BENTOML_VERSION
    python_version: str = ".".join(map(str, sys.version_info[:3]))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | ModelContext) -> ModelContext:
        """From plain data, of which more than this may be known."""
        if isinstance(data, ModelContext):
            return data
        return cls(
            str(data.get("framework_name") or ""),
            dict(data.get("framework_versions") or {}),
            str(data.get("bentoml_version") or ""),
            str(data.get("python_version") or ""),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class ModelSignature:
    """How a method of a model is called.

    Args:
        batchable: Whether calls may be joined.
        batch_dim: Axis along which inputs are joined and outputs split.
        input_spec: Kept as it is given.
        output_spec: Kept as it is given.
    """

    batchable: bool = False
    batch_dim: tuple[int, int] = (0, 0)
    input_spec: Any = None
    output_spec: Any = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | ModelSignature) -> ModelSignature:
        """From plain data; one axis stands for both."""
        if isinstance(data, ModelSignature):
            return data
        dim = data.get("batch_dim", (0, 0))
        return cls(
            bool(data.get("batchable", False)),
            (dim, dim) if isinstance(dim, int) else (dim[0], dim[1]),
            data.get("input_spec"),
            data.get("output_spec"),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without what says nothing."""
        said: dict[str, Any] = {"batchable": self.batchable}
        if self.batchable:
            said["batch_dim"] = list(self.batch_dim)
        specs = {"input_spec": self.input_spec, "output_spec": self.output_spec}
        return said | {name: spec for name, spec in specs.items() if spec is not None}


@dataclass(frozen=True)
class ModelInfo:
    """A model's description, BentoML's ``model.yaml``.

    Args:
        tag: Its name and version.
        module: The module that loads it, such as ``bentoml.sklearn``; or nothing.
        labels: The user's labels.
        options: What that module keeps of it.
        metadata: The user's data.
        context: What it was made with.
        signatures: Its methods.
        api_version: The version of that module's files.
        creation_time: When it was made; the start of 1970 where nobody knows.
    """

    tag: Tag
    module: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    options: ModelOptions = field(default_factory=ModelOptions)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: ModelContext = field(default_factory=lambda: ModelContext("", {}))
    signatures: Mapping[str, ModelSignature] = field(default_factory=dict)
    api_version: str = "v1"
    creation_time: datetime = _UNKNOWN_TIME

    @property
    def name(self) -> str:
        """The model's name."""
        return self.tag.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.tag.version or ""

    @classmethod
    def of(
        cls,
        tag: Tag,
        labels: Mapping[str, str],
        metadata: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> ModelInfo:
        """The description of a model.

        Args:
            tag: Its name and version.
            labels: The user's labels.
            metadata: The user's data.
            facts: What :data:`FACTS` names, as plain data, where it is known.
        """
        signatures: Mapping[str, Any] = facts.get("signatures") or {}
        return cls(
            tag,
            str(facts.get("module") or ""),
            labels,
            ModelOptions(**(facts.get("options") or {})),
            metadata,
            ModelContext.from_dict(facts.get("context") or {}),
            {name: ModelSignature.from_dict(each) for name, each in signatures.items()},
            str(facts.get("api_version") or "v1"),
            read_time(facts.get("creation_time")),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, in the order of BentoML's files."""
        return {
            "name": self.name,
            "version": self.version,
            "module": self.module,
            "labels": dict(self.labels),
            "options": self.options.to_dict(),
            "metadata": dict(self.metadata),
            "context": self.context.to_dict(),
            "signatures": {name: each.to_dict() for name, each in self.signatures.items()},
            "api_version": self.api_version,
            "creation_time": self.creation_time.isoformat(),
        }


def read_time(text: object) -> datetime:
    """A time as ``model.yaml`` has it; without a zone it is UTC, and what is none is 1970."""
    try:
        read = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return _UNKNOWN_TIME
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)
