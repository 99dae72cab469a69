"""The layer of compiled code that a build makes, of what its service compiled at its examples."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.environment.bench import Bench
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.kept.collect import COMPILED, collect
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.layers import put_layer
from bentofn.packager.roots.stage import stage_root
from bentofn.packager.slim.proof import Trial
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.kept.host import this_host
from bentofn.runtime.kept.start import COMPILERS
from bentofn.runtime.manifest import BentoManifest, canonical_json

RULES = 3
"""Raised when the same service would be kept otherwise."""

_COMPILES = re.compile(
    rb"(?<!\bre)(?<!\bregex)\.compile\b|import compile\b|triton|inductor|aoti|kept_file"
)
"""A project whose text has none of it compiles only in what it imports: a change inside a function,
which imports nothing new, then needs no further look."""


@dataclass(frozen=True)
class Compiled:
    """What a service compiles.

    Args:
        layer: The layer of it.
        modules: The files of the packages' modules that were imported by then, below the root.
    """

    layer: Descriptor
    modules: tuple[str, ...]


def compiled_layer(
    inputs: BuildInputs,
    imports: str,
    python: Mapping[str, bytes],
    bench: Bench,
    manifest: BentoManifest,
    home: Home,
    store: Store,
    scratch: Path,
    report: Callable[[str], None],
) -> Compiled | None:
    """The layer of compiled code; None for a service that compiles nothing.

    What the service compiled while its examples were answered in this build is taken. Where they
    were not, because nothing had changed that was looked for, they are now, unless that was kept.

    Args:
        inputs: What the build reads.
        imports: Digest of all that importing the service depends on.
        python: The project's Python files.
        bench: Where it can answer.
        manifest: The bento's, without this layer.
        home: Where outcomes are kept.
        store: Takes the layer.
        scratch: Where the proof tries, see :func:`~.normal.trials_folder`.
        report: Told what is going on.
    """
    if not any(api.examples for api in manifest.contract.apis) or inputs.target.is_foreign:
        return None
    if not any((bench.tree() / name).is_dir() for name in COMPILERS):
        return None
    own = inputs.tree.digest if any(map(_COMPILES.search, python.values())) else ""
    models = sorted({model.digest for model in manifest.models})
    host = canonical_json(this_host()).decode()
    path = (
        home.cache / "compiled" / f"{layer_key(COMPILED, RULES, imports, own, models, host)}.json"
    )
    known, made = _recall(path, store)
    if known:
        return made
    trial = Trial(bench.target, manifest.envs, home)
    root = next((scratch / n for n in ("slim", "look") if trial.earlier(scratch / n)), None)
    if root is None:
        report("Starting the service to keep what it compiles")
        root = scratch / "look"
        stage_root(root, manifest, inputs.tree.sources, inputs.runtime, bench.tree(), home)
        trial.run(root)
    outcome = trial.earlier(root)
    if outcome is None or outcome.answers is None:
        return None
    found = collect(trial.compiles(root), places=(root,))
    if found is not None:
        layer = put_layer(store, found.entries(), kind="compiled", title=COMPILED)
        made = Compiled(layer, outcome.modules)
        report(f"Keeping what it compiled, {found.summary}")
    home.directory(path.parent)
    raw = {"layer": made.layer.to_json(), "modules": made.modules} if made else None
    atomic_write(path, canonical_json(raw))
    return made


def _recall(path: Path, store: Store) -> tuple[bool, Compiled | None]:
    """Whether it is known what a service compiles, and that."""
    try:
        raw = json.loads(path.read_bytes())
        if raw is None:
            return True, None
        made = Compiled(Descriptor.from_json(raw["layer"]), tuple(map(str, raw["modules"])))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, UserError):
        return False, None
    known = store.has(made.layer.digest)
    return known, made if known else None
