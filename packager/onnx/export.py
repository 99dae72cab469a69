"""Exports a service's models, each once for the same model, code, example and tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bentofn.packager.code.contract import child_environment, run_limited
from bentofn.packager.environment.resolve import Lock, cached_lock, lock_key, resolve
from bentofn.packager.environment.uv import run_uv
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.modelstore import describe_model, import_model, local_path
from bentofn.packager.onnx.code import code_digest
from bentofn.packager.onnx.plan import Plan, same_runtime
from bentofn.packager.roots.stage import stage
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import Export
from bentofn.runtime.manifest import ExportedFrom, ModelReference, canonical_json

RULES = 1
"""Raised when the same inputs would be exported to other bytes."""

LIMIT = 3600
"""Seconds after which an export that has not ended is taken for one that never ends."""

SUFFIX = ".onnx"
"""What is added to a model's name for the model that is exported from it."""

WEIGHTS = frozenset(
    {
        *(".safetensors", ".bin", ".pt", ".pth", ".pt2", ".ckpt", ".onnx", ".data", ".gguf"),
        *(".h5", ".msgpack"),
    }
)
"""Suffixes of the files that an export takes the place of; what else a model has (configuration,
tokenizer...) stays beside it."""

_LONGEST_NAME = 58
_INDEX = ".index.json"


@dataclass(frozen=True)
class Exporter:
    """Exports the models of one build.

    Args:
        plan: What its packages are.
        lock: The bento's lock, whose ONNX Runtime proves the exports.
        home: The home.
        store: Its store.
        scratch: A temporary folder.
        report: Told what is going on.
    """

    plan: Plan
    lock: Lock
    home: Home
    store: Store
    scratch: Path
    report: Callable[[str], None]

    def export(self, export: Export, source: Entry) -> tuple[Entry, ModelReference]:
        """Export a model, unless it was exported before.

        Args:
            export: The service's declaration.
            source: The model that its tag means.

        Returns:
            The exported model in the store, and what a bento says of it.

        Raises:
            UserError: It cannot be exported, or computes something else; the message says why.
        """
        declared = {**asdict(export), "tag": ""}
        code = self._code_digest(export)
        inputs = self.plan.inputs
        tools = [self._lock.digest, inputs.target.python, dict(inputs.envs)]
        key = layer_key("onnx", RULES, source.digest, code, declared, tools)
        record = self.home.cache / "onnx" / f"{key}.json"
        with self.home.lock(f"onnx-{key[:32]}", waiting=self.report):
            entry = self._find(record)
            if entry is None:
                entry = self._make(export, source)
                self.home.directory(record.parent)
                atomic_write(record, canonical_json({"tag": entry.tag, "digest": entry.digest}))
        exported = ExportedFrom.from_plain(describe_model(self.store, entry).metadata["exported"])
        return entry, ModelReference(
            entry.name, entry.version, entry.digest, runtime="onnx", exported=exported
        )

    def _find(self, record: Path) -> Entry | None:
        try:
            raw = json.loads(record.read_bytes())
            entry = self.store.find("model", raw["tag"])
            return entry if entry and entry.digest == raw["digest"] else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _code_digest(self, export: Export) -> str:
        tree = self.plan.inputs.tree
        sources = self.plan.sources
        others = {path: digest for path, digest in tree.digests.items() if path not in sources}
        names = [export.module, *([export.example] if isinstance(export.example, str) else [])]
        digests = [code_digest(name.partition(":")[0], sources, others) for name in names]
        return " ".join(digests)

    @cached_property
    def _lock(self) -> Lock:
        """The lock of the environment that exports."""
        inputs = self.plan.inputs
        building = same_runtime(self.plan.building, self.lock)
        key = lock_key(inputs.project, building, inputs.target.here)
        found = None if inputs.options.upgrade else cached_lock(key, self.home)
        if found is not None:
            return found
        self.report("Resolving the packages that export to ONNX")
        return resolve(inputs.project, building, inputs.target.here, self.home)

    @cached_property
    def _places(self) -> list[str]:
        """The project's code, the runtime and the packages, for a process that exports."""
        inputs = self.plan.inputs
        return [
            str(stage(self.scratch / "export-src", inputs.tree.sources)),
            str(stage(self.scratch / "export-runtime", inputs.runtime)),
            str(self._packages()),
        ]

    def _packages(self) -> Path:
        """The installed packages; kept, with the bytecode that Python adds, for the next export."""
        inputs = self.plan.inputs
        key = layer_key("export", self._lock.digest, inputs.target.python)[:32]
        packages = self.home.unpacked / f"export-{key}"
        with self.home.lock(f"export-{key}", waiting=self.report):
            if packages.is_dir():
                return packages
            self.report(f"Installing {len(self._lock.lines)} packages to export with")
            with temporary_directory(self.home.directory(self.home.unpacked)) as scratch:
                requirements = scratch / "lock.txt"
                requirements.write_text("\n".join(self._lock.lines) + "\n", encoding="utf-8")
                # Linked out of uv's cache where it can be: no file of it is ever changed.
                run_uv(
                    [
                        *("install", "--target", str(scratch / "env"), "--no-deps", "--quiet"),
                        *("--python", str(inputs.target.interpreter), "--require-hashes"),
                        *("--requirements", str(requirements)),
                    ],
                    self.plan.building.settings,
                    folder=inputs.project,
                    what="The packages that export to ONNX cannot be installed",
                    home=self.home,
                )
                (scratch / "env").rename(packages)
        return packages

    def _make(self, export: Export, source: Entry) -> Entry:
        places = self._places
        self.report(f"Exporting {source.tag} to ONNX")
        model = local_path(source.tag, self.home)[2]
        folder = self.scratch / f"exported-{source.version}"
        shutil.rmtree(folder, ignore_errors=True)
        _copy_others(model, folder)
        request = {
            "places": places,
            "export": asdict(export),
            "model": str(model),
            "folder": str(folder),
        }
        answer = self._run(request, export)
        if "error" in answer:
            text = str(answer["error"]).replace(places[0], "the project")
            raise UserError(f"The model {source.tag} cannot be served with ONNX: {text}.")
        self.report(f"ONNX and torch are at most {answer['difference']:.1e} apart")
        if answer["unchecked"]:
            self.report("Only the example's sizes were compared: torch takes no others")
        exported = ExportedFrom(source.tag, source.digest, export.module, tuple(answer["tools"]))
        return import_model(
            self.store,
            folder,
            f"{source.name[:_LONGEST_NAME]}{SUFFIX}",
            labels={"runtime": "onnx"},
            metadata={"exported": asdict(exported)},
        )

    def _run(self, request: Mapping[str, object], export: Export) -> dict[str, Any]:
        inputs = self.plan.inputs
        asked, answer = self.scratch / "export.json", self.scratch / "exported.json"
        asked.write_bytes(canonical_json(request))
        answer.unlink(missing_ok=True)
        script = Path(__file__).with_name("export_script.py")
        command = [str(inputs.target.interpreter), "-s", "-S", str(script), str(asked), str(answer)]
        try:
            status, stderr = run_limited(command, child_environment(inputs.envs), LIMIT)
        except subprocess.TimeoutExpired:
            return {"error": f"the export by {export.module} did not end within {LIMIT} s"}
        try:
            done: dict[str, Any] = json.loads(answer.read_bytes())
        except (FileNotFoundError, ValueError):
            words = stderr.decode(errors="replace").strip().splitlines()
            ending = f"was killed by signal {-status}" if status < 0 else "ended"
            return {
                "error": f"its process {ending} without an answer ({words[-1] if words else ''})"
            }
        return done


def _copy_others(model: Path, folder: Path) -> None:
    """Copy what a model has beside its weights."""
    folder.mkdir(parents=True)
    for path in sorted(model.rglob("*")):
        replaced = path.suffix.lower() in WEIGHTS or path.name.endswith(_INDEX)
        if path.is_file() and not replaced:
            target = folder / path.relative_to(model)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
