"""BentoML's modules for models of a framework: each saves them, and loads what it or BentoML saved.

No library is imported before a model of it is saved or loaded.
"""

from __future__ import annotations

import importlib
from typing import Any

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.model import Model
from bentofn.runtime.surface import FRAMEWORKS


def module_of(model: Model) -> Any:
    """The module that loads a model.

    Raises:
        BentoMLException: It was not saved by one, or that is not here.
    """
    module = model.info.module
    if not module:
        raise BentoMLException(
            f"The model {model.tag} does not say which module loads it; open its files with "
            "path_of()."
        )
    package, _, name = module.rpartition(".")
    if package == "bentoml" and name in FRAMEWORKS:
        return importlib.import_module(f"{__name__}.{name}")
    if module.partition(".")[0] == "bentoml":
        raise BentoMLException(
            f"The model {model.tag} was saved with {module}, which bentofn does not carry; open "
            "its files with path_of()."
        )
    try:
        return importlib.import_module(module)
    except (ValueError, ModuleNotFoundError) as error:
        raise BentoMLException(
            f"The module {module}, which loads the model {model.tag}, is not found."
        ) from error
