"""`bentofn build`: from a project to a bento in the store.

A project that did not change since a bento was made of it is recognised by the digest of what a
build reads, without importing the parts that make layers.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from bentofn.packager.after_build import STEPS, StoredBento
from bentofn.packager.build_inputs import BuildInputs, BuildOptions, gather
from bentofn.packager.environment.resolve import Lock
from bentofn.packager.environment.torch_build import needs_cuda
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.modelsources.resolved import find
from bentofn.packager.obstacles import keep_obstacles, kept_obstacles
from bentofn.packager.store import Descriptor, Entry, LayerInfo, Store
from bentofn.packager.store.descriptors import MANIFEST
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import Saving, canonical_json

__all__ = ["BuildOptions", "BuildResult", "build"]


@dataclass(frozen=True)
class BuildResult:
    """A built bento.

    Args:
        tag: ``name:version``.
        digest: Digest of its OCI manifest.
        layers: Its layers, in order.
        reused: Whether nothing had changed since it was built before.
        seconds: How long the build took.
        steps: Name to seconds of each step.
        warnings: What the user should know, one sentence each.
        slimmed: What was left out of its environment, by rule.
    """

    tag: str
    digest: str
    layers: list[LayerInfo]
    reused: bool
    seconds: float
    steps: dict[str, float]
    warnings: tuple[str, ...] = ()
    slimmed: tuple[Saving, ...] = ()


class _Steps:
    """Times the steps of a build."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def build(
    project: Path, home: Home, options: BuildOptions, report: Callable[[str], None]
) -> BuildResult:
    """Build a project into a bento of the home's store.

    Args:
        project: The folder that holds the service.
        home: Where the bento and all caches go.
        options: What the command line says.
        report: Called with one short sentence for each thing that takes time.

    Raises:
        UserError: The project cannot be built; the message says what to do.
    """
    steps = _Steps()
    home = Home(home.path.absolute())
    with _sentences(home):
        store = Store(home)
        with store.using():
            with steps("inputs"):
                inputs = gather(project, home, options)
            with steps("reuse"):
                entry = None if inputs.resolves_again else _reuse(inputs, home, store)
            reused = entry is not None
            notes: tuple[str, ...] = ()
            if entry is not None:
                notes = kept_obstacles(home, entry.digest) or ()
            else:
                entry, notes = _make(inputs, home, store, report, steps)
            stored = StoredBento(home, store, entry, inputs, reused, report)
            for name, step in STEPS:
                with steps(name):
                    notes += step(stored)
        return BuildResult(
            tag=entry.tag,
            digest=entry.digest,
            layers=list(store.layers(entry)),
            reused=reused,
            seconds=time.perf_counter() - steps.started,
            steps=steps.seconds,
            warnings=(*inputs.warnings, *notes),
            slimmed=store.bento(entry).slimmed,
        )


def _make(
    inputs: BuildInputs, home: Home, store: Store, report: Callable[[str], None], steps: _Steps
) -> tuple[Entry, tuple[str, ...]]:
    from bentofn.packager.assemble import Assembler
    from bentofn.packager.onnx.plan import plan_exports

    with steps("admission"):
        admitted = _admit(inputs, home)
    plan = plan_exports(inputs)
    with temporary_directory(home.directory(home.cache)) as scratch:
        planned = plan.inputs if plan else inputs
        assembled = Assembler(planned, home, store, scratch, report, steps, plan).assemble()
    with steps("store"):
        created = datetime.now(timezone.utc)
        entry = store.add_bento(assembled.manifest, assembled.layers, created)
        _remember(inputs, home, entry, assembled.wanted)
        keep_obstacles(home, entry.digest, assembled.obstacles)
    return entry, (*admitted, *assembled.notes, *assembled.obstacles)


def _admit(inputs: BuildInputs, home: Home) -> tuple[str, ...]:
    from bentofn.packager.trust.admission import Allowed, admit

    texts = {
        "description": inputs.description,
        "docker.setup_script": inputs.image.setup_script or "",
        "docker.dockerfile_template": inputs.image.dockerfile_template or "",
    }
    allowed = Allowed.of(
        (*inputs.config.allow_secrets, *inputs.options.allow_secrets),
        (*inputs.config.allow_pickles, *inputs.options.allow_pickles),
    )
    return admit(inputs.tree, texts, inputs.envs, allowed, inputs.project, home)


def _reuse(inputs: BuildInputs, home: Home, store: Store) -> Entry | None:
    """The bento that the same inputs made before, if all of it is still there."""
    try:
        record = json.loads(_record(inputs, home).read_bytes())
        manifest = Descriptor(MANIFEST, record["digest"], record["size"])
        models, name, version = record["models"], record["name"], record["version"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    for tag, digest in models.items():
        found = find(store, tag)
        if found is None or found.digest != digest:
            return None
    if any(tag not in models and find(store, tag) for tag in inputs.loaded):
        return None  # it was not there before
    if not store.has(manifest.digest):
        return None
    try:
        entry = store.add("bento", name, version, manifest, datetime.now(timezone.utc))
    except UserError:
        # A blob that it names is gone: the full build makes what is missing, or says what is wrong.
        return None
    if inputs.options.cpu_only is not None and needs_cuda(Lock(store.bento(entry).lock).versions):
        return None  # it was made for elsewhere; the full build looks for another, or refuses
    return entry


def _remember(inputs: BuildInputs, home: Home, entry: Entry, models: Mapping[str, str]) -> None:
    path = _record(inputs, home)
    home.directory(path.parent)
    record = {
        "digest": entry.digest,
        "size": entry.manifest_size,
        "name": entry.name,
        "version": entry.version,
        "models": dict(models),
    }
    atomic_write(path, canonical_json(record))


def _record(inputs: BuildInputs, home: Home) -> Path:
    return home.cache / "builds" / f"{inputs.key}.json"


@contextmanager
def _sentences(home: Home) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk that holds {home.path} is full; free some space there, "
                "or set BENTOFN_HOME to a directory on another disk."
            ) from error
        if isinstance(error, PermissionError) and error.filename:
            raise UserError(f"{error.filename} cannot be read: permission denied.") from error
        if isinstance(error, FileNotFoundError) and error.filename:
            raise UserError(
                f"{error.filename} vanished while the build ran; build again."
            ) from error
        raise
