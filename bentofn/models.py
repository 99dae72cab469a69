"""The models that a service uses, and those that the user's own code makes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.model import Model
from bentofn.runtime.models import BentoModel, HuggingFaceModel, get
from bentofn.runtime.models import list_models as list

if TYPE_CHECKING:
    from bentofn.runtime.modelinfo import ModelContext as ModelContext
    from bentofn.runtime.modelinfo import ModelOptions as ModelOptions
    from bentofn.runtime.tags import Tag

__all__ = [
    "BentoModel",
    "HuggingFaceModel",
    "Model",
    "ModelContext",
    "ModelOptions",
    "create",
    "delete",
    "export_model",
    "get",
    "import_model",
    "list",
]


def create(name: Tag | str, **details: Any) -> AbstractContextManager[Model]:
    """Make a model: whatever is in its folder at the end of the block goes into the store.

    ``with bentofn.models.create("name") as model: joblib.dump(it, model.path_of("model.pkl"))``

    Args:
        name: Its name; with a version, or it gets a new one.
        **details: As of :func:`bentofn.packager.modelsources.saving.create`: ``labels``,
            ``metadata``, ``custom_objects``, ``module``, ``options``, ``signatures``...

    Raises:
        BentoMLException: It is called in an artifact.
        UserError: The name breaks a rule, or the model cannot be stored.
    """
    made: AbstractContextManager[Model] = _saving("create").create(name, **details)
    return made


def import_model(path: str, input_format: str | None = None, **where: Any) -> Model:
    """Put a model that was exported, here or by BentoML, into the store.

    Raises:
        BentoMLException: It is called in an artifact.
        UserError: There is no such file, or it is refused.
    """
    model: Model = _saving("import_model").import_archive(path, input_format, **where)
    return model


def export_model(tag: Tag | str, path: str, output_format: str | None = None, **where: Any) -> str:
    """Write a model to a file that BentoML and bentofn import; returns its path.

    Raises:
        BentoMLException: It is called in an artifact.
        NotFound: There is no such model.
        UserError: It cannot be written.
    """
    target: str = _saving("export_model").export_archive(tag, path, output_format, **where)
    return target


def delete(tag: Tag | str) -> None:
    """Delete a model of the store.

    Raises:
        BentoMLException: It is called in an artifact.
        NotFound: There is no such model.
    """
    _saving("delete").delete(tag)


def _saving(name: str) -> Any:
    try:
        from bentofn.packager.modelsources import saving
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("bentofn.packager"):
            raise
        raise BentoMLException(
            f"models.{name} works in a project, not in a bento: an instance has the models that "
            "its bento carries, and no store."
        ) from error
    module: ModuleType = saving
    return module


def __getattr__(name: str) -> Any:
    if name in ("ModelContext", "ModelOptions"):  # most services name neither
        from bentofn.runtime import modelinfo

        return getattr(modelinfo, name)
    if name in ("push", "pull"):
        raise AttributeError(f"bentofn carries no models.{name}: use `bentofn {name}`.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
