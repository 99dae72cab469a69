"""Finds what keeps a service from being snapshotted, where its examples are answered.

A build runs a service only if it has examples, so only those are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.code.openers import opener_calls
from bentofn.packager.environment.bench import Bench
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.obstacles import keep_obstacles, kept_obstacles
from bentofn.packager.roots.stage import stage_root
from bentofn.packager.slim.proof import Trial
from bentofn.runtime.manifest import BentoManifest


def look_once(
    inputs: BuildInputs,
    imports: str,
    python: Mapping[str, bytes],
    bench: Bench,
    manifest: BentoManifest,
    home: Home,
    scratch: Path,
    report: Callable[[str], None],
) -> tuple[str, ...]:
    """What keeps a service from being snapshotted, as sentences.

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
        return ()
    models = sorted({model.digest for model in manifest.models})
    key = layer_key("obstacles", imports, opener_calls(python), models)
    kept = kept_obstacles(home, key)
    if kept is not None:
        return kept
    trial = Trial(bench.target, manifest.envs, home)
    root = scratch / "slim"
    outcome = trial.earlier(root)
    if outcome is None:
        report("Starting the service to see what a snapshot cannot hold")
        root = scratch / "look"
        stage_root(root, manifest, inputs.tree.sources, inputs.runtime, bench.tree(), home)
        outcome = trial.run(root)
    if outcome.unplaced:
        report("Looking for the lines that open what a snapshot cannot hold")
        closer = trial.run(root, "--lines", "yes")
        outcome = outcome if closer.answers is None else closer
    if outcome.answers is not None:
        keep_obstacles(home, key, outcome.obstacles)
    return outcome.obstacles
