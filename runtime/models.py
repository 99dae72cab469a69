"""The models that a service uses: out of the bento in an instance, of the store in a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import NotFound, UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ModelReference


@dataclass(frozen=True)
class Model:
    """A model and its files.

    Args:
        name: Its name.
        version: Its exact version.
        path: The directory that holds its files.
        labels: The user's labels.
        metadata: The user's metadata.
    """

    name: str
    version: str
    path: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    def path_of(self, item: str) -> str:
        """The path of one of its files."""
        return str(self.path / item)


def get(tag: str) -> Model:
    """Find a model.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``; in an instance also an alias.

    Raises:
        NotFound: The bento (or the store, in a project) has no such model.
    """
    root = BentoRoot.current()
    if root is not None:
        return _of_bento(root, tag)
    # The packager is absent from an instance; a project that runs without being built is the one
    # case where the runtime reads the store.
    from bentofn.packager.modelstore import local_path

    return Model(*local_path(tag))


def list_models() -> list[Model]:
    """The models that there are: the bento's in an instance, the store's in a project."""
    root = BentoRoot.current()
    if root is not None:
        references = BentoManifest.read(root.manifest).models
        return [_model(root, reference) for reference in references]
    from bentofn.packager.home import Home
    from bentofn.packager.modelstore import local_path
    from bentofn.packager.store import Store

    return [Model(*local_path(entry.tag)) for entry in Store(Home.default()).list("model")]


class ModelDescriptor:
    """A model declared as a class attribute; on an instance it reads as what it resolves to."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tag!r})"


class BentoModel(ModelDescriptor):
    """A model of the store, as a class attribute: ``model = BentoModel("name:latest")``.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``.
    """

    def __get__(self, instance: object, owner: type | None = None) -> Model:
        return self.resolve()

    def resolve(self) -> Model:
        """Find the model.

        Raises:
            NotFound: There is no such model.
        """
        return get(self.tag)


class HuggingFaceModel(ModelDescriptor):
    """A model of the Hugging Face hub that was imported into the store; reads as its path.

    Args:
        model_id: The hub's name, such as ``org/model``.
        revision: Branch, tag or commit.
    """

    def __init__(self, model_id: str, revision: str = "main") -> None:
        super().__init__(model_id.replace("/", "--").lower())
        self.model_id = model_id
        self.revision = revision

    def __get__(self, instance: object, owner: type | None = None) -> str:
        return self.resolve()

    def resolve(self) -> str:
        """Find the model's directory.

        Raises:
            UserError: It is not in the store.
        """
        try:
            return str(get(self.tag).path)
        except (NotFound, UserError) as error:
            raise UserError(
                f"HuggingFaceModel({self.model_id!r}) is not in the model store; fetching from the "
                f"hub comes with a later release: download it and run "
                f"`bentofn models import DIRECTORY --name {self.tag}`."
            ) from error


def _of_bento(root: BentoRoot, tag: str) -> Model:
    references = BentoManifest.read(root.manifest).models
    name, _, version = tag.partition(":")
    for reference in references:
        if tag == reference.alias or _matches(reference, name, version):
            return _model(root, reference)
    known = ", ".join(f"{each.name}:{each.version}" for each in references) or "none"
    raise NotFound(f"Model {tag!r} is not in this bento; it carries: {known}.")


def _model(root: BentoRoot, reference: ModelReference) -> Model:
    path = root.models / reference.name / reference.version
    return Model(reference.name, reference.version, path)


def _matches(reference: ModelReference, name: str, version: str) -> bool:
    return reference.name == name and version in ("", "latest", reference.version)
