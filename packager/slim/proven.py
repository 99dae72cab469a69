"""Proves a build's slimmed environment, once for the same imports and the same models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.environment.bench import Bench
from bentofn.packager.environment.install import install
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.roots.stage import stage_root
from bentofn.packager.slim.proof import Trial, prove
from bentofn.runtime.gpus import find_gpus
from bentofn.runtime.manifest import BentoManifest, canonical_json


def prove_once(
    inputs: BuildInputs,
    imports: str,
    bench: Bench,
    manifest: BentoManifest,
    home: Home,
    scratch: Path,
    report: Callable[[str], None],
) -> str | None:
    """Prove the slimmed environment of a bench by a service's examples, unless it was proved.

    Args:
        inputs: What the build reads.
        imports: Digest of all that importing the service depends on.
        bench: Where it can answer.
        manifest: The bento's, which has at least one example.
        home: Where outcomes are kept.
        scratch: A temporary folder.
        report: Told what is going on.

    Returns:
        Why nothing could be compared, if so, as a sentence.

    Raises:
        UserError: The slimmed environment fails, or answers something else.
    """

    def root(name: str, env: Path) -> Path:
        return stage_root(scratch / name, manifest, inputs.tree.sources, inputs.runtime, env, home)

    def make() -> str | None:
        report("Answering the examples with and without slimming")
        plain = bench.unslimmed
        if not plain.exists():
            settings = inputs.requirements.settings
            install(bench.lock, settings, bench.target, plain, inputs.project, home)
        trial = Trial(bench.target, manifest.envs, home)
        slim = root("slim", bench.tree())
        return prove(trial, slim, root("plain", plain), at_once=not find_gpus())

    key = layer_key("proof", imports, sorted({model.digest for model in manifest.models}))
    return cached_proof(home, key, make)


def cached_proof(home: Home, key: str, make: Callable[[], str | None]) -> str | None:
    """Make a proof, unless it passed before; one that could not be made is tried again.

    Args:
        home: Where outcomes are kept.
        key: Digest of all that it depends on.
        make: Calls :func:`~bentofn.packager.slim.proof.prove`.
    """
    path = home.cache / "proofs" / f"{key}.json"
    try:
        if json.loads(path.read_bytes()) == {"proved": True}:
            return None
    except (FileNotFoundError, ValueError):
        pass
    note = make()
    if note is None:
        home.directory(path.parent)
        atomic_write(path, canonical_json({"proved": True}))
    return note
