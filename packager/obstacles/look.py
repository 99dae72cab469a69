"""Looks at a service that has answered its examples: what it holds, and what it has imported.

A build runs a service only if it has examples, so only those are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.code.openers import opener_calls
from bentofn.packager.environment.bench import Bench
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.roots.stage import stage_root
from bentofn.packager.slim.proof import Trial
from bentofn.runtime.manifest import BentoManifest, canonical_json


@dataclass(frozen=True)
class Look:
    """What was seen.

    Args:
        obstacles: What keeps the service from being snapshotted, as sentences.
        modules: The files of the packages' modules that it had imported, below the root: also
            those that its constructor and its first calls import.
    """

    obstacles: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


def look_once(
    inputs: BuildInputs,
    imports: str,
    python: Mapping[str, bytes],
    bench: Bench,
    manifest: BentoManifest,
    home: Home,
    scratch: Path,
    report: Callable[[str], None],
) -> Look:
    """Look at a service, unless that was done.

    The service is started for it, unless the proof of slimming did that just now, or nothing that
    matters has changed since it was looked at.

    Args:
        inputs: What the build reads.
        imports: Digest of all that importing the service depends on.
        python: The project's Python files.
        bench: Where it can answer.
        manifest: The bento's.
        home: Where outcomes are kept.
        scratch: A temporary folder, the proof's.
        report: Told what is going on.
    """
    if not any(api.examples for api in manifest.contract.apis):
        return Look()
    models = sorted({model.digest for model in manifest.models})
    key = layer_key("look", imports, opener_calls(python), models)
    path = home.cache / "looks" / f"{key}.json"
    kept = _kept(path)
    if kept is not None:
        return kept
    trial = Trial(bench.target, manifest.envs, home)
    root = scratch / "slim"
    outcome = trial.earlier(root)
    if outcome is None:
        report("Starting the service to see what it imports, and what a snapshot cannot hold")
        root = scratch / "look"
        stage_root(root, manifest, inputs.tree.sources, inputs.runtime, bench.tree(), home)
        outcome = trial.run(root)
    if outcome.unplaced:
        report("Looking for the lines that open what a snapshot cannot hold")
        closer = trial.run(root, "--lines", "yes")
        outcome = outcome if closer.answers is None else closer
    look = Look(outcome.obstacles, outcome.modules)
    if outcome.answers is not None:
        home.directory(path.parent)
        atomic_write(path, canonical_json(asdict(look)))
    return look


def _kept(path: Path) -> Look | None:
    try:
        raw = json.loads(path.read_bytes())
        return Look(tuple(map(str, raw["obstacles"])), tuple(map(str, raw["modules"])))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
