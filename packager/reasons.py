"""Why a layer or a file is in a bento: who asked for it, and through whom."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import PurePosixPath

from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.records import inside, rows_of
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.layers.pick import pick_files
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.store import Descriptor, LayerInfo, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import BentoManifest

PROJECT = "the project"
RUNTIME = "bentofn's runtime"

_ENV = f"{ARCHIVE_PREFIX}/env/"
_METADATA = re.compile(rf"{_ENV}([^/]+)\.dist-info/(METADATA|RECORD)")


@dataclass(frozen=True)
class Package:
    """A distribution of the environment.

    Args:
        name: Its name, normalised.
        label: Its name and version.
        chain: Who requires it, the nearest first; the last is the project or the runtime.
    """

    name: str
    label: str
    chain: tuple[str, ...]

    @property
    def why(self) -> str:
        """The chain in words."""
        if not self.chain:
            return "in the lock"
        nearest, *others = self.chain
        return ", ".join([f"required by {nearest}", *(f"by {other}" for other in others)])


@dataclass(frozen=True)
class Reasons:
    """Who wanted what of a bento.

    Args:
        bento: The bento.
        packages: The distribution that owns a file of the environment, by its path in the layers.
    """

    bento: BentoManifest
    packages: Mapping[str, Package]

    def of_file(self, kind: str, title: str, path: str) -> str:
        """Why a file is there.

        Args:
            kind: Of its layer.
            title: Of its layer.
            path: Its path in the layer.
        """
        if kind == "env":
            package = self.packages.get(path)
            return f"{package.label}, {package.why}" if package else "installed with the packages"
        if kind == "bytecode":
            package = self.packages.get(_source(path))
            return f"{package.label} imported on start" if package else "imported on start"
        if kind == "model":
            return self._model(title)
        if kind == "code":
            return "bytecode of the project" if path.endswith(".pyc") else "the project's code"
        if kind == "compiled":
            return "compiled when the examples were answered"
        return "bentofn's runtime" if kind == "runtime" else ""

    def of_layer(self, kind: str, title: str, paths: Iterable[str]) -> str:
        """Why a layer is there.

        Args:
            kind: What it holds.
            title: Its name.
            paths: Its files.
        """
        if kind == "env":
            return _summary({self.packages[path] for path in paths if path in self.packages})
        if kind == "bytecode":
            return "bytecode of the modules that are imported on start"
        if kind == "model":
            return self._model(title)
        return self.of_file(kind, title, "")

    def _model(self, title: str) -> str:
        for model in self.bento.models:
            if title.startswith(f"{model.name}/"):
                alias = f", as {model.alias}" if model.alias else ""
                return f"the model {model.name}:{model.version}, required by the project{alias}"
        return "a model of the project"


def read_reasons(store: Store, bento: BentoManifest, layers: Sequence[Descriptor]) -> Reasons:
    """Read who requires whom out of the metadata of the packages.

    Args:
        store: The store.
        bento: The bento.
        layers: Its layers.

    Raises:
        UserError: A layer is missing or damaged.
    """
    found: dict[str, bytes] = {}
    for layer in layers:
        if layer.annotations.get(LAYER_KIND) == "env":
            found |= _metadata(store, layer)
    labels = sorted({path.removeprefix(_ENV).split(".dist-info/")[0] for path in found})
    headers = {
        label: HeaderParser().parsestr(
            found.get(f"{_ENV}{label}.dist-info/METADATA", b"").decode(errors="replace")
        )
        for label in labels
    }
    names = {label: requirement_name(headers[label]["Name"] or label) for label in labels}
    requires = {
        names[label]: [
            requirement_name(line)
            for line in headers[label].get_all("Requires-Dist", [])
            if "extra" not in line.partition(";")[2]
        ]
        for label in labels
    }
    chains = _chains(bento.requires, requires)
    owners = {}
    for label in labels:
        package = Package(names[label], label, chains.get(names[label], ()))
        record = found.get(f"{_ENV}{label}.dist-info/RECORD", b"").decode(errors="replace")
        for row in rows_of(record):
            if path := inside(row[0]):
                owners[f"{_ENV}{path}"] = package
    return Reasons(bento, owners)


def _metadata(store: Store, layer: Descriptor) -> dict[str, bytes]:
    try:
        return pick_files(store, layer, lambda path: _METADATA.fullmatch(path) is not None)
    except DamagedLayer as error:
        raise UserError(
            f"The layer {LayerInfo.of(layer).name!r} ({layer.digest}) is damaged or missing; "
            "build or pull the bento again."
        ) from error


def _chains(
    asked: Iterable[str], requires: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """The shortest chain of requirements from each package to who asked, the project first."""
    chains: dict[str, tuple[str, ...]] = {}
    roots = {requirement_name(line): (RUNTIME,) for line in RUNTIME_REQUIREMENTS}
    for starts in (dict.fromkeys(asked, (PROJECT,)), roots):
        queue: deque[str] = deque()
        for name, chain in starts.items():
            if name in requires and name not in chains:
                chains[name] = chain
                queue.append(name)
        while queue:
            name = queue.popleft()
            for other in requires[name]:
                if other in requires and other not in chains:
                    chains[other] = (name, *chains[name])
                    queue.append(other)
    return chains


def _summary(packages: set[Package]) -> str:
    if len(packages) == 1:
        (package,) = packages
        return f"{package.label}, {package.why}"
    asked = sorted(package.name for package in packages if package.chain == (PROJECT,))
    runtime = sum(package.chain[-1:] == (RUNTIME,) for package in packages)
    text = f"{len(packages)} packages"
    if asked:
        text += f", {', '.join(asked)} required by the project"
    return f"{text}, {runtime} for bentofn's runtime" if runtime else text


def _source(path: str) -> str:
    """The module of a file in ``__pycache__``."""
    file = PurePosixPath(path)
    return f"{file.parent.parent}/{file.name.partition('.')[0]}.py"
