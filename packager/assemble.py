"""Makes a bento's layers from a build's inputs, each only if its own inputs changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.bento_manifest import make_manifest
from bentofn.packager.bento_models import BentoModels, collect_models, loaded_models
from bentofn.packager.build_inputs import BuildInputs, check_unchanged
from bentofn.packager.code.contract import (
    Description,
    Parts,
    cached_description,
    describe,
    keep_description,
)
from bentofn.packager.code.gpu import refuse_unseen_gpu
from bentofn.packager.code.import_surface import import_surface
from bentofn.packager.code.late_imports import late_imports
from bentofn.packager.environment.bench import Bench, bench_like, own_bench
from bentofn.packager.environment.layers import Environment, make_environment
from bentofn.packager.environment.resolve import Lock, cached_lock, resolve
from bentofn.packager.environment.torch_build import build_note, is_cpu, needs_cuda, refuse_cuda
from bentofn.packager.home import Home
from bentofn.packager.kept.build import compiled_layer
from bentofn.packager.kept.normal import trials_folder
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.layers import FAST, SMALLEST, Packing
from bentofn.packager.modelsources.resolved import find
from bentofn.packager.modelsources.wanted import require_model
from bentofn.packager.obstacles.look import look_once
from bentofn.packager.onnx.export import Exporter
from bentofn.packager.onnx.plan import Plan
from bentofn.packager.roots.stage import stage
from bentofn.packager.service_layers import bytecode_layers, code_layer, runtime_layer
from bentofn.packager.slim.proven import prove_once
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.manifest import BentoManifest

Report = Callable[[str], None]
Step = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Assembled:
    """A bento whose layers are stored.

    Args:
        manifest: Its manifest.
        layers: Its layers, in order.
        wanted: The models that were asked for, as asked, to the digest that each led to.
        notes: What the user should know, one sentence each.
        obstacles: What keeps the service from being snapshotted, one sentence each.
    """

    manifest: BentoManifest
    layers: tuple[Descriptor, ...]
    wanted: Mapping[str, str]
    notes: tuple[str, ...]
    obstacles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assembler:
    """One build.

    Args:
        inputs: What it is made from.
        home: The home.
        store: Its store.
        scratch: A temporary folder.
        report: Told what is going on.
        step: Times one step.
        plan: How its models are exported; None if none is.
    """

    inputs: BuildInputs
    home: Home
    store: Store
    scratch: Path
    report: Report
    step: Step
    plan: Plan | None = None

    def assemble(self) -> Assembled:
        """Make all layers and the manifest.

        Raises:
            UserError: The project cannot be built; the message says why.
        """
        for choice in self.inputs.config.models:
            # Before time is spent on packages.
            require_model(self.store, choice.tag, self.report)
        with self.step("code"):
            code = code_layer(self.inputs, self.home, self.store, self.scratch)
        with self.step("lock"):
            lock = self._lock()
            if self.plan is not None:
                self.plan.check(lock, self.home)
            if self.inputs.options.cpu_only is not None:
                refuse_cuda(lock.versions, self.inputs.options.cpu_only)
        with self.step("environment"):
            environment = self._environment(lock)
            bench = self._bench(lock, environment)
        with self.step("contract"):
            python = self.inputs.tree.python_sources()
            late = late_imports(python)
            key = self._contract_key(python, late, bench)
            description = self._description(key, late, bench)
            if self._chose_cpu and is_cpu(lock.versions):
                refuse_unseen_gpu(description.contract)
        with self.step("bytecode"):
            bytecode = self._bytecode(environment, description.files)
        with self.step("models"):
            models = self._models(description, lock)
        with self.step("runtime"):
            runtime = runtime_layer(self.inputs, self.home, self.store, self.scratch)
        check_unchanged(self.inputs.tree)
        layers = (*environment.layers, *bytecode, *models.layers, runtime, code)
        manifest = make_manifest(
            self.inputs, lock, environment, description.contract, models.references, layers
        )
        with self.step("proof"):
            notes = self._prove(key, bench, environment, manifest)
        with self.step("obstacles"):
            look = look_once(
                *(self.inputs, key, python, bench, manifest, self.home, self._trials, self.report)
            )
        with self.step("compiled"):
            compiled = compiled_layer(
                *(self.inputs, key, python, bench, manifest, self.home, self.store, self._trials),
                self.report,
            )
        with self.step("bytecode"):
            also = (*look.modules, *(compiled.modules if compiled else ()))
            bytecode = self._bytecode(environment, sorted({*description.files, *also}))
        own = (compiled.layer, runtime, code) if compiled else (runtime, code)
        layers = (*environment.layers, *bytecode, *models.layers, *own)
        manifest = make_manifest(
            self.inputs, lock, environment, description.contract, models.references, layers
        )
        notes += self._notes(lock, description, python)
        return Assembled(manifest, layers, models.wanted, notes, look.obstacles)

    def _notes(
        self, lock: Lock, description: Description, python: Mapping[str, bytes]
    ) -> tuple[str, ...]:
        speaks_of_cuda = any(b"cuda" in text for text in python.values())
        note = build_note(
            lock.versions,
            gpu=not self._is_for_cpu,
            is_option=self.inputs.options.gpu is not None,
            speaks_of_cuda=speaks_of_cuda,
        )
        warnings = self.plan.warnings(description.exports) if self.plan is not None else ()
        notes = [note] if note else []
        return (*notes, *description.notes, *warnings)

    @property
    def unslimmed(self) -> Path:
        """Where the bench stands as it was installed, if it was installed by this build."""
        return self.scratch / "unslimmed"

    @property
    def _trials(self) -> Path:
        """Where the service is tried; paths of it get into what it compiles."""
        return trials_folder(self.scratch)

    @property
    def _packing(self) -> Packing:
        return SMALLEST if self.inputs.options.release else FAST

    def _lock(self) -> Lock:
        inputs = self.inputs
        found = None if inputs.resolves_again else cached_lock(inputs.lock_key, self.home)
        if found and inputs.options.cpu_only is not None and needs_cuda(found.versions):
            found = None  # a CPU build may be had by now
        if found is not None:
            return found
        self.report("Resolving the requirements")
        return resolve(
            inputs.project,
            inputs.requirements,
            inputs.target,
            self.home,
            refresh=inputs.options.upgrade,
        )

    def _environment(self, lock: Lock) -> Environment:
        inputs = self.inputs
        return make_environment(
            lock,
            inputs.requirements.settings,
            inputs.target,
            inputs.slimming,
            self._packing,
            inputs.project,
            self.home,
            self.store,
            self.report,
            None if inputs.target.is_foreign else self.unslimmed,
        )

    def _bench(self, lock: Lock, environment: Environment) -> Bench:
        inputs = self.inputs
        if not inputs.target.is_foreign:
            return own_bench(environment, lock, inputs.target, self.home, self.unslimmed)
        return bench_like(
            lock,
            inputs.target,
            inputs.slimming,
            inputs.requirements,
            inputs.project,
            self.home,
            self.report,
            self.unslimmed,
        )

    def _contract_key(self, python: Mapping[str, bytes], late: Sequence[str], bench: Bench) -> str:
        inputs = self.inputs
        return layer_key(
            "contract",
            self._surface(python),
            late,
            bench.digest,
            inputs.runtime_digest,
            inputs.interpreter,
            inputs.service,
            inputs.envs,
        )

    def _description(self, key: str, late: Sequence[str], bench: Bench) -> Description:
        inputs = self.inputs
        found = cached_description(key, self.home)
        if found is not None and self._still_has(found.asked):
            return found
        self.report(f"Importing {inputs.service}")
        parts = Parts(
            source=stage(self.scratch / "src", self.inputs.tree.sources),
            runtime=stage(self.scratch / "runtime", inputs.runtime),
            env=bench.tree(),
        )
        with self.plan.explaining() if self.plan else nullcontext():
            description = describe(
                parts,
                inputs.service,
                late,
                inputs.target,
                inputs.envs,
                self.store,
                self.scratch,
                self.report,
            )
        keep_description(key, description, self.home)
        return description

    def _still_has(self, asked: Mapping[str, str]) -> bool:
        """Whether the models that an import looked at are those that their names mean now."""
        found = {tag: find(self.store, tag) for tag in asked}
        return all(entry and entry.digest == asked[tag] for tag, entry in found.items())

    @property
    def _chose_cpu(self) -> bool:
        """Whether the project's files alone are why it gets torch's CPU build."""
        options = self.inputs.options
        return self._is_for_cpu and options.gpu is None and options.cpu_only is None

    @property
    def _is_for_cpu(self) -> bool:
        return self.inputs.requirements.settings.torch_cpu_index is not None

    def _surface(self, python: Mapping[str, bytes]) -> str:
        digests = self.inputs.tree.digests
        others = {path: digest for path, digest in digests.items() if path not in python}
        return import_surface(python, others)

    def _bytecode(self, environment: Environment, files: Sequence[str]) -> list[Descriptor]:
        return bytecode_layers(
            self.inputs,
            environment,
            files,
            self._packing,
            self.home,
            self.store,
            self.scratch,
            self.report,
        )

    def _models(self, description: Description, lock: Lock) -> BentoModels:
        used = description.contract.models
        loaded = loaded_models(self.store, self.inputs.loaded, used, self.report)
        exporter = None
        if self.plan is not None:
            exporter = Exporter(self.plan, lock, self.home, self.store, self.scratch, self.report)
        return collect_models(
            self.store,
            (*self.inputs.config.models, *loaded),
            used,
            description.exports,
            exporter,
            self.report,
            refresh=self.inputs.options.upgrade,
        )

    def _prove(
        self, imports: str, bench: Bench, environment: Environment, manifest: BentoManifest
    ) -> tuple[str, ...]:
        """Prove the slimmed environment; the notes say where that is less than it should be."""
        if not environment.slimmed:
            return bench.notes
        if not any(api.examples for api in manifest.contract.apis):
            self.report("Slimmed; without an example, only that the service imports is proved")
            return bench.notes
        note = prove_once(
            self.inputs, imports, bench, manifest, self.home, self._trials, self.report
        )
        return bench.notes if note is None else (*bench.notes, note)
