"""The models that a service uses: out of the bento in an instance, of the store in a project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import NotFound, UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ModelReference
from bentofn.runtime.members import declared_members
from bentofn.runtime.model import Model, ModelPath
from bentofn.runtime.tags import Tag

if TYPE_CHECKING:
    from bentofn.runtime.exports import Export

__all__ = ["BentoModel", "HuggingFaceModel", "Model", "ModelDescriptor", "get", "list_models"]

ASK = "BENTOFN_ASK"
"""Variable of a process that a build imports a service in: it asks the build for models."""

HUB_PREFIX = "hf:"
"""What a model of the Hugging Face hub starts with, where a source is named by a text."""


def get(tag: Tag | str) -> Model:
    """Find a model.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``; in an instance also an alias.

    Raises:
        NotFound: The bento (or the store, in a project) has no such model.
    """
    root = BentoRoot.current()
    if root is not None:
        return _of_bento(root, str(tag))
    if ASK in os.environ:
        from bentofn.runtime.asking import ask_model

        return ask_model(str(tag))
    # The packager is absent from an instance; a project that runs without being built is the one
    # case where the runtime reads the store.
    from bentofn.packager.modelsources.project import store_model

    return store_model(str(tag))


def list_models(tag: Tag | str | None = None) -> list[Model]:
    """The models that there are: the bento's in an instance, else the store's.

    Args:
        tag: The name, or the name and the version, of those that are wanted; by default all.
    """
    found = {(each.name, each.version): each for each in _all_models()}
    name, _, version = str(tag or "").partition(":")
    return [
        model
        for model in found.values()
        if name in ("", model.name) and version in ("", model.version)
    ]


def _all_models() -> list[Model]:
    root = BentoRoot.current()
    if root is not None:
        return [_model(root, each) for each in BentoManifest.read(root.manifest).models]
    if ASK in os.environ:
        from bentofn.runtime.asking import ask_models

        return ask_models()
    from bentofn.packager.modelsources.project import store_models

    return store_models()


class ModelDescriptor:
    """A model declared as a class attribute; on an instance it reads as what it resolves to."""

    def __init__(self, tag: Tag | str, export: Export | None = None) -> None:
        self.tag = str(tag)
        self.export = export

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tag!r})"


class BentoModel(ModelDescriptor):
    """A model of the store, as a class attribute: ``model = BentoModel("name:latest")``.

    With ``runtime="onnx"`` the build exports the model's torch module to ONNX, checks that both
    compute the same, and leaves torch out of the bento; ``self.model.session()`` opens it.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``.
        runtime: ``onnx``, or None for the model as it is.
        module: Of an ONNX model, ``file:function`` of the project: called with the model's
            directory when the bento is built, it returns the :class:`torch.nn.Module`.
        example: Of an ONNX model, every argument of the module's ``forward`` as lists of numbers
            or numpy arrays; or ``file:function`` that returns them.
        dynamic: Of an ONNX model, input name to a name for each axis that may have any size; None
            for an axis of the example's size.

    Raises:
        UserError: The runtime is unknown, or what an ONNX model needs is missing.
    """

    def __init__(
        self,
        tag: Tag | str,
        *,
        runtime: str | None = None,
        module: str | None = None,
        example: str | Mapping[str, Any] | None = None,
        dynamic: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        export = None
        if runtime is not None or module or example or dynamic:
            # Most services declare no export.
            from bentofn.runtime.exports import RUNTIMES, declare

            if runtime not in RUNTIMES:
                raise UserError(
                    f"The model {tag} has no runtime {runtime!r}; there is {', '.join(RUNTIMES)}. "
                    "TorchScript and torch.export files are opened from its path."
                )
            export = declare(str(tag), module, example, dynamic)
        super().__init__(tag, export)

    def __get__(self, instance: object, owner: type | None = None) -> Model:
        return self.resolve()

    def resolve(self) -> Model:
        """Find the model.

        Raises:
            NotFound: There is no such model.
        """
        root = BentoRoot.current()
        if self.export is None or root is None:
            return replace(get(self.tag), export=self.export)
        return _exported(root, self.export)


class HuggingFaceModel(ModelDescriptor):
    """A model of the Hugging Face hub, as a class attribute; reads as the path of its folder.

    A build fetches it into the bento; a project that is served without being built fetches it
    when it is first read.

    Args:
        model_id: The hub's name, such as ``org/model``.
        revision: Branch, tag or commit.
        endpoint: The hub's URL; by default huggingface_hub's setting (``HF_ENDPOINT``).
        include: Patterns of the files to take; by default what serving needs.
        exclude: Patterns of the files to leave.
    """

    def __init__(
        self,
        model_id: str,
        revision: str = "main",
        endpoint: str | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
    ) -> None:
        super().__init__(hub_source(model_id, revision, endpoint, include, exclude))
        self.model_id = model_id
        self.revision = revision

    def __get__(self, instance: object, owner: type | None = None) -> str:
        return self.resolve()

    def resolve(self) -> str:
        """Find the model's directory.

        Raises:
            NotFound: The bento does not carry it.
            UserError: There is no such model, or the hub cannot be reached.
        """
        root = BentoRoot.current()
        if root is not None:
            return _of_bento(root, self.tag).path
        if ASK in os.environ:
            from bentofn.runtime.asking import ask_model

            return ask_model(self.tag).path
        from bentofn.packager.modelsources.project import hub_path

        return str(hub_path(self.tag))


def find_models(cls: type) -> list[ModelDescriptor]:
    """The models that a class declares, inherited ones included, none of them resolved."""
    return [
        BentoModel(member.tag) if isinstance(member, Model) else member
        for member in declared_members(cls).values()
        if isinstance(member, (Model, ModelDescriptor))
    ]


def hub_source(
    model_id: str,
    revision: str,
    endpoint: str | None,
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
) -> str:
    """One line that says all of a declaration: ``hf:org/name@revision?include=PATTERN``."""
    said = [("endpoint", endpoint)] if endpoint else []
    said += [("include", pattern) for pattern in _patterns(include)]
    said += [("exclude", pattern) for pattern in _patterns(exclude)]
    source = f"{HUB_PREFIX}{model_id}@{revision}"
    if not said:
        return source
    from urllib.parse import urlencode

    return f"{source}?{urlencode(said)}"


def _patterns(patterns: Sequence[str] | None) -> Sequence[str]:
    return [patterns] if isinstance(patterns, str) else patterns or ()


def _of_bento(root: BentoRoot, tag: str) -> Model:
    references = BentoManifest.read(root.manifest).models
    plain_first = sorted(references, key=lambda reference: reference.exported is not None)
    for reference in plain_first:
        if tag == reference.alias or _matches(reference, tag):
            return _model(root, reference)
    known = ", ".join(dict.fromkeys(f"{each.name}:{each.version}" for each in references)) or "none"
    raise NotFound(f"Model {tag!r} is not in this bento; it carries: {known}.")


def _model(root: BentoRoot, reference: ModelReference) -> Model:
    path = ModelPath(root.models / reference.name / reference.version)
    info = reference.info
    return Model(
        reference.name,
        reference.version,
        path,
        info.get("labels", {}),
        info.get("metadata", {}),
        facts=info,
    )


def _exported(root: BentoRoot, export: Export) -> Model:
    for reference in BentoManifest.read(root.manifest).models:
        if reference.exported is None or reference.exported.module != export.module:
            continue
        if export.tag == reference.alias or _matches(reference, export.tag):
            return _model(root, reference)
    raise NotFound(f"The ONNX model of {export.tag} by {export.module} is not in this bento.")


def _matches(reference: ModelReference, tag: str) -> bool:
    """Whether a tag means a model, or the one that it was exported from."""
    name, _, version = tag.partition(":")
    own = f"{reference.name}:{reference.version}"
    tags = [own] if reference.exported is None else [own, reference.exported.tag]
    known = [each.partition(":") for each in tags]
    return any(name == n and version in ("", "latest", v) for n, _, v in known)
