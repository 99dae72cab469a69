"""A model: its name and version, its files, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import BentoMLException, MissingDependencyException, UserError
from bentofn.runtime.tags import Tag

if TYPE_CHECKING:
    from datetime import datetime

    from bentofn.runtime.exports import Export
    from bentofn.runtime.modelinfo import ModelInfo
    from bentofn.runtime.onnx import OnnxSession
    from bentofn.runtime.torch_session import TorchSession

CUSTOM_OBJECTS = "custom_objects.pkl"
"""The file of the objects that were saved beside a model. Source: BentoML's model.py."""


class ModelPath(str):
    """A model's folder: a text, as in BentoML, that can be joined like a path."""

    __slots__ = ()

    def __truediv__(self, item: str) -> Path:
        return Path(self) / item


@dataclass(eq=False, repr=False)
class Model:
    """A model and its files.

    Args:
        name: Its name.
        version: Its exact version.
        path: The directory that holds its files.
        labels: The user's labels.
        metadata: The user's metadata.
        export: How a build makes an ONNX model of it; None once it is built, or if none does.
        facts: What else its store says of it (:data:`bentofn.runtime.modelinfo.FACTS`).
    """

    name: str
    version: str
    path: ModelPath
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    export: Export | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f'Model(tag="{self.tag}")'

    def __repr__(self) -> str:
        return f'Model(tag="{self.tag}", path="{self.path}")'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.tag == other.tag

    def __hash__(self) -> int:
        return hash(self.tag)

    @property
    def tag(self) -> Tag:
        """Its name and version; as text ``name:version``."""
        return Tag(self.name, self.version)

    @property
    def info(self) -> ModelInfo:
        """What BentoML's ``model.yaml`` says of it."""
        from bentofn.runtime.modelinfo import ModelInfo

        return ModelInfo.of(self.tag, self.labels, self.metadata, self.facts)

    @property
    def creation_time(self) -> datetime:
        """When it was made."""
        return self.info.creation_time

    def path_of(self, item: str) -> str:
        """The path of one of its files."""
        return str(self.path / item.lstrip("/"))

    @cached_property
    def custom_objects(self) -> dict[str, Any]:
        """The objects that were saved beside it; reading them unpickles them.

        Raises:
            BentoMLException: The file holds something else.
            MissingDependencyException: It needs a module that is not installed.
        """
        path = self.path / CUSTOM_OBJECTS
        if not path.is_file():
            return {}
        import pickle

        try:
            found = pickle.loads(path.read_bytes())
        except ModuleNotFoundError as error:
            raise MissingDependencyException(
                f"The {CUSTOM_OBJECTS} of the model {self.tag} needs {error.name}: install it, and "
                "list it under python.packages."
            ) from error
        if not isinstance(found, dict):
            raise BentoMLException(f"{CUSTOM_OBJECTS} of the model {self.tag} holds no dictionary.")
        return found

    def load_model(self, *args: Any, **kwargs: Any) -> Any:
        """Load it with the module that saved it; the second time it is the same object.

        Args:
            *args: Passed on to the module's ``load_model``.
            **kwargs: Passed on too.

        Raises:
            BentoMLException: It was not saved by such a module, or that is not here.
        """
        if "_loaded" not in vars(self):
            from bentofn.runtime.frameworks import module_of

            self._loaded = module_of(self).load_model(self, *args, **kwargs)
        return self._loaded

    def to_runner(self, *args: Any, **kwargs: Any) -> Any:
        """What BentoML's old services called; there are no runners here.

        Raises:
            BentoMLException: Always.
        """
        raise BentoMLException(
            f"bentofn has no runners: call load_model() of the model {self.tag} in a service, and "
            "name that service with bentoml.depends where another uses it."
        )

    def session(self, file: str = "model.onnx") -> OnnxSession | TorchSession:
        """Open an ONNX model, to be called with numpy arrays; do it once, in ``__init__``.

        In a project that is not built, a model declared with ``runtime="onnx"`` is computed by its
        torch module.

        Args:
            file: The ONNX file, as a path in the model.

        Raises:
            UserError: The model has no such file, or what it needs is not installed.
        """
        path = self.path / file
        if path.is_file():
            from bentofn.runtime.onnx import OnnxSession

            return OnnxSession(path)
        if self.export is not None:
            from bentofn.runtime.torch_session import TorchSession

            return TorchSession(self.export, Path(self.path))
        raise UserError(
            f"The model {self.tag} has no {file}: import one that has, or declare it with "
            "runtime='onnx', which exports it when the bento is built."
        )
