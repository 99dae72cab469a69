"""The models that go into a bento: as they are in the store, or exported to need no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bentofn.packager.config.model import ModelChoice
from bentofn.packager.modelsources.wanted import require_model
from bentofn.packager.modelstore import ModelInfo, describe_model, model_layers
from bentofn.packager.onnx.export import Exporter
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import Export
from bentofn.runtime.manifest import ModelReference
from bentofn.runtime.models import HUB_PREFIX


@dataclass(frozen=True)
class BentoModels:
    """A bento's models.

    Args:
        references: What its manifest says of them.
        wanted: The models that were asked for, as asked, to the digest that each led to.
        layers: Their layers, each model's once.
    """

    references: tuple[ModelReference, ...]
    wanted: Mapping[str, str]
    layers: tuple[Descriptor, ...]


def loaded_models(
    store: Store, loaded: Iterable[str], used: Collection[str], report: Callable[[str], None]
) -> list[ModelChoice]:
    """The models that the code names where it loads them, as far as there are any.

    Args:
        store: The store.
        loaded: Their tags.
        used: Tags of the models that the bento has in any case.
        report: Told what takes time, and which there are not.
    """
    found = []
    for tag in loaded:
        if tag in used:
            continue
        try:
            require_model(store, tag, report)
        except UserError as error:
            report(f"The code loads {tag}, which the bento lacks: {error}")
        else:
            found.append(ModelChoice(tag))
    return found


def collect_models(
    store: Store,
    listed: Sequence[ModelChoice],
    declared: Sequence[str],
    exports: Sequence[Export],
    exporter: Exporter | None,
    report: Callable[[str], None],
    *,
    refresh: bool = False,
) -> BentoModels:
    """Find a bento's models, and export those that are to be.

    Args:
        store: The store.
        listed: The models of the bentofile; one that the service only has exported is not carried
            as it is.
        declared: The models that the service uses as they are.
        exports: Those that it uses exported.
        exporter: Exports them; None if the build did not expect any.
        report: Told what takes time.
        refresh: Whether a branch of the hub is looked up again.

    Raises:
        UserError: A model cannot be found, fetched or exported.
    """
    wanted: dict[str, str] = {}
    references: dict[ModelReference, None] = {}
    layers: dict[str, list[Descriptor]] = {}
    exported: dict[str, list[ModelReference]] = {}
    for export in exports:
        if exporter is None:
            raise UserError(
                f"The model {export.tag} is to be exported to ONNX, which the build could not see "
                'in the code; write runtime="onnx" out where it is declared, in a file that the '
                "service's own imports."
            )
        source = require_model(store, export.tag, report, refresh=refresh)
        wanted[export.tag] = source.digest
        entry, reference = exporter.export(export, source)
        reference = replace(reference, alias=_alias(export.tag))
        references[reference] = None
        exported.setdefault(source.tag, []).append(reference)
        layers[entry.tag] = model_layers(store, entry)
    for choice in (*listed, *map(ModelChoice, declared)):
        entry = require_model(store, choice.tag, report, refresh=refresh)
        wanted[choice.tag] = entry.digest
        alias = choice.alias or _alias(choice.tag)
        if entry.tag in exported and choice.tag not in declared:
            for reference in exported[entry.tag] if alias else ():
                references[replace(reference, alias=alias)] = None
            continue
        info = describe_model(store, entry)
        if info.was_made_here and info.pickles:
            report(_told(info))
        reference = ModelReference(entry.name, entry.version, entry.digest, alias, info=info.facts)
        references[reference] = None
        layers.setdefault(entry.tag, model_layers(store, entry))
    return BentoModels(
        tuple(references), wanted, tuple(layer for each in layers.values() for layer in each)
    )


def _told(info: ModelInfo) -> str:
    names = sorted({name for names in info.pickles.values() for name in names})
    return (
        f"The model {info.name}:{info.version} was made here and holds pickles "
        f"({', '.join(info.pickles)}), carried as they are: loading them imports "
        f"{', '.join(names) or 'nothing'}."
    )


def _alias(tag: str) -> str | None:
    """What a service calls a model that is not named by its tag in the store."""
    return tag if tag.startswith(HUB_PREFIX) else None
