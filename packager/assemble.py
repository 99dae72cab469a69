"""Makes a bento's layers from a build's inputs, each only if its own inputs changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.bento_models import BentoModels, collect_models
from bentofn.packager.build_inputs import BuildInputs, check_unchanged
from bentofn.packager.bytecode import compile_files, files_below, refuse_broken
from bentofn.packager.contract import (
    Description,
    Parts,
    cached_description,
    describe,
    keep_description,
)
from bentofn.packager.environment.bench import Bench, bench_like, own_bench
from bentofn.packager.environment.install import install
from bentofn.packager.environment.layers import (
    Environment,
    add_bytecode,
    make_environment,
)
from bentofn.packager.environment.machine import refuse_other_machines
from bentofn.packager.environment.resolve import Lock, cached_lock, resolve
from bentofn.packager.environment.torch_build import build_note, is_cpu
from bentofn.packager.gpu import names_gpu
from bentofn.packager.home import Home
from bentofn.packager.import_surface import import_surface
from bentofn.packager.late_imports import late_imports
from bentofn.packager.layer_cache import cached_layer, find_layer, layer_key
from bentofn.packager.layers import FAST, SMALLEST, LayerFile, Packing, put_layer
from bentofn.packager.modelsources.wanted import require_model
from bentofn.packager.onnx.export import Exporter
from bentofn.packager.onnx.plan import Plan
from bentofn.packager.reasons import normalised
from bentofn.packager.slim.proof import Trial, cached_proof, prove
from bentofn.packager.stage import stage, stage_root
from bentofn.packager.store import Descriptor, Store, check_part
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import BentoManifest, ModelReference, canonical_json

Report = Callable[[str], None]
Step = Callable[[str], AbstractContextManager[None]]

VERSION_DIGITS = 12


@dataclass(frozen=True)
class Assembled:
    """A bento whose layers are stored.

    Args:
        manifest: Its manifest.
        layers: Its layers, in order.
        wanted: The models that were asked for, as asked, to the digest that each led to.
        notes: What the user should know, one sentence each.
    """

    manifest: BentoManifest
    layers: tuple[Descriptor, ...]
    wanted: Mapping[str, str]
    notes: tuple[str, ...]


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
            code = self._code()
        with self.step("lock"):
            lock = self._lock()
            if self.plan is not None:
                self.plan.check(lock, self.home)
        with self.step("environment"):
            environment = make_environment(
                lock,
                self.inputs.requirements.settings,
                self.inputs.target,
                self.inputs.slimming,
                self._packing,
                self.inputs.project,
                self.home,
                self.store,
                self.report,
                None if self.inputs.target.is_foreign else self.unslimmed,
            )
            bench = self._bench(lock, environment)
        with self.step("contract"):
            python = self._python_sources()
            late = late_imports(python)
            key = self._contract_key(python, late, bench)
            description = self._description(key, late, bench)
            self._check_gpu(lock, description)
        with self.step("bytecode"):
            bytecode = self._bytecode(environment, description)
        with self.step("models"):
            models = self._models(description, lock)
        with self.step("runtime"):
            runtime = self._runtime()
        check_unchanged(self.inputs.tree)
        layers = (*environment.layers, *bytecode, *models.layers, runtime, code)
        manifest = self._manifest(lock, environment, description, models.references, layers)
        with self.step("proof"):
            notes = self._prove(key, bench, environment, manifest)
        speaks_of_cuda = any(b"cuda" in text for text in python.values())
        gpu = not self._is_for_cpu
        if note := build_note(lock.versions, gpu, speaks_of_cuda=speaks_of_cuda):
            notes = (*notes, note)
        if self.plan is not None:
            notes = (*notes, *self.plan.warnings(description.exports))
        return Assembled(manifest, layers, models.wanted, notes)

    @property
    def unslimmed(self) -> Path:
        """Where the bench stands as it was installed, if it was installed by this build."""
        return self.scratch / "unslimmed"

    def _source(self) -> dict[str, Path]:
        return {file.path: file.source for file in self.inputs.tree.files}

    @property
    def _packing(self) -> Packing:
        return SMALLEST if self.inputs.options.release else FAST

    def _code(self) -> Descriptor:
        files = self._source()

        if self.inputs.target.is_foreign:
            remedy = "list it in .bentoignore, or put one for that platform in its place"
            refuse_other_machines(files, self.inputs.target.platform, remedy)

        def write() -> Descriptor:
            compiled, broken = compile_files(
                files, "src", self.inputs.target, self.scratch / "src-bytecode"
            )
            refuse_broken(broken)
            entries = [
                LayerFile(f"{ARCHIVE_PREFIX}/src/{file.path}", file.source, file.executable)
                for file in self.inputs.tree.files
            ]
            return put_layer(self.store, [*entries, *compiled], kind="code", title="code")

        key = layer_key("code", self.inputs.tree.digest, self.inputs.interpreter)
        return cached_layer(self.home, self.store, key, write)

    def _lock(self) -> Lock:
        inputs = self.inputs
        found = None if inputs.resolves_again else cached_lock(inputs.lock_key, self.home)
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
        if found is not None:
            return found
        self.report(f"Importing {inputs.service}")
        parts = Parts(
            source=stage(self.scratch / "src", self._source()),
            runtime=stage(self.scratch / "runtime", inputs.runtime),
            env=bench.tree(),
        )
        with self.plan.explaining() if self.plan else nullcontext():
            description = describe(
                parts, inputs.service, late, inputs.target, inputs.envs, self.home, self.scratch
            )
        keep_description(key, description, self.home)
        return description

    @property
    def _is_for_cpu(self) -> bool:
        return self.inputs.requirements.settings.torch_cpu_index is not None

    def _check_gpu(self, lock: Lock, description: Description) -> None:
        """Make sure that a service with torch's CPU build does not ask for a GPU after all."""
        undecided = self.inputs.options.gpu is None and self._is_for_cpu
        asks = names_gpu(description.contract.config.get("resources"))
        if undecided and asks and is_cpu(lock.versions):
            raise UserError(
                f"The resources of {description.contract.name} name a GPU, which was not seen in "
                "its file before its packages were chosen; build with --gpu (or with --cpu, if it "
                "should have torch's CPU build all the same)."
            )

    def _python_sources(self) -> dict[str, bytes]:
        files = self.inputs.tree.files
        return {file.path: file.source.read_bytes() for file in files if file.path.endswith(".py")}

    def _surface(self, python: Mapping[str, bytes]) -> str:
        digests = self.inputs.tree.digests
        others = {path: digest for path, digest in digests.items() if path not in python}
        return import_surface(python, others)

    def _bytecode(self, environment: Environment, description: Description) -> list[Descriptor]:
        paths = files_below("env", description.files)
        if not paths:
            return []
        key = layer_key("bytecode", environment.digest, self.inputs.interpreter, paths)
        found = find_layer(self.home, self.store, key)
        if found is not None:
            return [found]
        self.report(f"Compiling {len(paths)} modules")
        tree = environment.tree(self.home)
        # What this machine imports, another platform's packages may not have.
        files = {path: tree / path for path in paths if (tree / path).is_file()}
        compiled, _ = compile_files(files, "env", self.inputs.target, self.scratch / "env-bytecode")

        def write() -> Descriptor:
            level = self._packing.level
            return put_layer(self.store, compiled, kind="bytecode", title="bytecode", level=level)

        layer = cached_layer(self.home, self.store, key, write)
        add_bytecode(self.home, environment, layer, compiled)
        return [layer]

    def _models(self, description: Description, lock: Lock) -> BentoModels:
        exporter = None
        if self.plan is not None:
            exporter = Exporter(self.plan, lock, self.home, self.store, self.scratch, self.report)
        return collect_models(
            self.store,
            self.inputs.config.models,
            description.contract.models,
            description.exports,
            exporter,
            self.report,
            refresh=self.inputs.options.upgrade,
        )

    def _runtime(self) -> Descriptor:
        files = self.inputs.runtime

        def write() -> Descriptor:
            compiled, broken = compile_files(
                files, "runtime", self.inputs.target, self.scratch / "runtime-bytecode"
            )
            refuse_broken(broken)
            entries = [
                LayerFile(f"{ARCHIVE_PREFIX}/runtime/{path}", source)
                for path, source in files.items()
            ]
            return put_layer(self.store, [*entries, *compiled], kind="runtime", title="runtime")

        key = layer_key("runtime", self.inputs.runtime_digest, self.inputs.interpreter)
        return cached_layer(self.home, self.store, key, write)

    def _prove(
        self, key: str, bench: Bench, environment: Environment, manifest: BentoManifest
    ) -> tuple[str, ...]:
        """Prove the slimmed environment, once for what importing the service can see."""
        inputs = self.inputs
        if not environment.slimmed:
            return bench.notes
        if not any(api.examples for api in manifest.contract.apis):
            self.report("Slimmed; without an example, only that the service imports is proved")
            return bench.notes

        def root(name: str, env: Path) -> Path:
            folder = self.scratch / name
            return stage_root(folder, manifest, self._source(), inputs.runtime, env, self.home)

        def make() -> str | None:
            self.report("Answering the examples with and without slimming")
            plain = bench.unslimmed
            if not plain.exists():
                settings = inputs.requirements.settings
                install(bench.lock, settings, bench.target, plain, inputs.project, self.home)
            trial = Trial(bench.target, manifest.envs, self.home)
            return prove(trial, root("slim", bench.tree()), root("plain", plain))

        note = cached_proof(self.home, key, make)
        return bench.notes if note is None else (*bench.notes, note)

    def _manifest(
        self,
        lock: Lock,
        environment: Environment,
        description: Description,
        references: Sequence[ModelReference],
        layers: Iterable[Descriptor],
    ) -> BentoManifest:
        inputs = self.inputs
        contract = replace(
            description.contract,
            models=tuple(dict.fromkeys(f"{m.name}:{m.version}" for m in references)),
        )
        name = inputs.options.name or inputs.config.name or _snake_case(contract.name)
        valued = {key: value for key, value in contract.envs.items() if value is not None}
        envs = {**valued, **inputs.envs}
        declared = {*contract.envs, *(env.name for env in inputs.config.envs)}
        manifest = BentoManifest(
            name=check_part(name),
            version="",
            contract=contract,
            python=inputs.target.python,
            platform=inputs.target.platform,
            models=tuple(references),
            lock=lock.lines,
            requires=tuple(sorted({normalised(line) for line in inputs.requirements.packages})),
            envs=envs,
            secrets=tuple(sorted(declared - envs.keys())),
            labels={**contract.labels, **inputs.config.labels, **inputs.options.labels},
            description=inputs.description,
            docker=inputs.image.to_plain(),
            inputs={
                "code": inputs.tree.digest,
                "lock": lock.digest,
                "runtime": inputs.runtime_digest,
                "slim": inputs.slimming.identity,
            },
            slimmed=environment.slimmed,
        )
        version = inputs.options.version or _version(manifest, layers)
        return replace(manifest, version=check_part(version, "version"))


def _version(manifest: BentoManifest, layers: Iterable[Descriptor]) -> str:
    content = [manifest.to_json().decode(), [layer.digest for layer in layers]]
    return hashlib.sha256(canonical_json(content)).hexdigest()[:VERSION_DIGITS]


def _snake_case(name: str) -> str:
    # BentoML names a bento after its service in snake case.
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[\s-]+", "_", words).lower()
