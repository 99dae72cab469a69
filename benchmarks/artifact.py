"""What an artifact weighs and costs, beside today's way: bytes moved, builds, and the first import.

Two services: the embeddings example, and a torch and FastAPI one. Today's way is the same packages
as the installer leaves them, in `gzip -6` layers: one of packages, one of code and weights, which
is the layout of `bentoml containerize`. The base image, the same for all, is left out of every sum.
Bytes that are fetched are those that a registry on loopback logs.

Weights hardly compress, so the whole artifact's share of today's grows with them: with an MLP of
19 MB instead of 7 MB the second service came to 0.567, above the goal of 0.55.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import registry
import today
from safetensors.numpy import load_file, save_file
from services import EMBEDDINGS, MLP, Subject, ask, change_one_line, report
from table import Row, Table, arguments, ratios

from bentofn.commands.init import write_template
from bentofn.packager.home import Home
from bentofn.packager.modelstore import import_model, local_path
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.manifest import BentoManifest

CODE_LIMIT = 100_000
"""Bytes that a one-line change may ship."""

IMPORTED = {"torch", "numpy", "safetensors", "tokenizers"}
"""What the embeddings example imports, so that stock BentoML can import it to build it."""


@dataclass(frozen=True)
class Bench:
    """A subject in folders of its own.

    Args:
        subject: The service.
        folder: The folder.
    """

    subject: Subject
    folder: Path

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def project(self) -> Path:
        return self.folder / self.subject.name

    def bentofn(self, *words: str, home: Path | None = None) -> Any:
        """Run a command that prints one JSON document, and give it."""
        environment = {**os.environ, "BENTOFN_HOME": str(home or self.home.path)}
        done = subprocess.run(
            [sys.executable, "-m", "bentofn", *words, "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    def build(self, *options: str) -> Any:
        """Build the project."""
        return self.bentofn("build", str(self.project), *options)

    def manifest(self, tag: str) -> BentoManifest:
        """The manifest of a bento."""
        store = Store(self.home)
        return store.bento(store.get("bento", tag))

    def model_folder(self) -> Path:
        """The model's files."""
        return local_path(self.subject.model, self.home)[2]


def total(document: Any) -> int:
    """Bytes of a build's layers."""
    return sum(layer["size"] for layer in document["layers"])


def fine_tune(bench: Bench) -> int:
    """Import the model with its last block changed; gives the bytes of all its weights."""
    source = bench.model_folder()
    with tempfile.TemporaryDirectory() as folder:
        tuned = Path(folder) / "tuned"
        shutil.copytree(source, tuned)
        weights = tuned / "model.safetensors"
        tensors = load_file(weights)
        for name, tensor in tensors.items():
            if name.startswith(bench.subject.last_block):
                tensors[name] = tensor + np.float32(0.001)
        weights.unlink()
        save_file(tensors, weights)
        import_model(Store(bench.home), tuned, bench.subject.model)
        return weights.stat().st_size


def cold_node(bench: Bench, source: registry.Registry, reference: str, *options: str) -> int:
    """Bytes that an empty home fetches until its first answer from the local platform."""
    before = source.sent()
    home = bench.folder / f"node-{len(list(bench.folder.glob('node-*')))}"
    pulled = bench.bentofn("pull", *options, reference, home=home)
    bench.bentofn("emulator", "start", "--port", str(registry.free_port()), home=home)
    try:
        deployed = bench.bentofn("deploy", pulled["tag"], "--target", "local", home=home)
        ask(deployed[0]["url"], bench.subject)
        return source.sent() - before
    finally:
        bench.bentofn("emulator", "stop", home=home)
        shutil.rmtree(home)


def artifact_rows(bench: Bench, table: Table) -> None:
    """Sizes and moved bytes."""
    name, project = bench.subject.name, bench.project
    first = bench.build("--slim", "traced", "--release")
    plain = today.plain_environment(
        bench.manifest(first["tag"]), bench.folder / "plain", bench.home
    )
    packages = today.gzip_layer([("env", plain)])
    own = today.gzip_layer([("src", project), ("models", bench.model_folder())])
    image = packages + own
    table.add(Row(f"{name}: whole artifact", "today, gzip image", "size", "MB", [image / 1e6]))
    size = total(first)
    table.add(Row(f"{name}: whole artifact", "bentofn, release", "size", "MB", [size / 1e6]))
    share = [size / image]
    table.add(
        Row(f"{name}: whole artifact", "bentofn, release", "of today's", "x", share, "<= 0.55")
    )
    with registry.running(bench.folder / "registry") as remote:
        reference = f"{remote.address}/{name}:1"
        bench.bentofn("push", first["tag"], reference)
        fetched = cold_node(bench, remote, reference, "--lazy")
        case = f"{name}: fetched before the first answer"
        table.add(Row(case, "bentofn, release", "size", "MB", [fetched / 1e6]))
        table.add(Row(case, "bentofn, release", "of today's", "x", [fetched / image], "<= 0.25"))
        change_one_line(project, 1)
        moved = push_build(bench, reference)
        case = f"{name}: shipped after a one-line change"
        table.add(Row(case, "today, code and weights", "size", "kB", [own / 1e3]))
        table.add(Row(case, "bentofn", "size", "kB", [moved / 1e3], f"<= {CODE_LIMIT / 1e3:.0f}"))
        weights = fine_tune(bench)
        moved = push_build(bench, reference)
        case = f"{name}: shipped after fine-tuning the last block"
        table.add(Row(case, "today, all weights", "size", "MB", [weights / 1e6]))
        table.add(Row(case, "bentofn", "of all weights", "x", [moved / weights], "<= 0.35"))


def without_torch(bench: Bench, table: Table) -> None:
    """The same embeddings from an exported model, without torch."""
    project = bench.folder / "embeddings-onnx"
    write_template("embeddings-onnx", project)
    size = total(bench.bentofn("build", str(project), "--release"))
    case = "embeddings: whole artifact"
    table.add(Row(case, "bentofn, release, onnx", "size", "MB", [size / 1e6]))


def push_build(bench: Bench, reference: str) -> int:
    """Build and push; gives the bytes that moved."""
    built = bench.build("--slim", "traced", "--release")
    moved: int = bench.bentofn("push", built["tag"], reference)["moved_bytes"]
    return moved


def import_rows(bench: Bench, table: Table, rounds: int) -> None:
    """The first import of the service after unpacking, without writing bytecode."""
    store = Store(bench.home)
    root = materialise(bench.home, store.get("bento", bench.subject.name))
    ours = [root / "runtime", root / "src", root / "env"]
    theirs = [bench.folder / "today" / "runtime", bench.project, bench.folder / "plain"]
    shutil.copytree(
        root / "runtime",
        theirs[0],
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
    samples: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        samples["theirs"].append(import_seconds(theirs, root))
        samples["ours"].append(import_seconds(ours, root))
    case = f"{bench.subject.name}: first import of the service"
    table.add(Row(case, "today, no bytecode", "wall", "s", samples["theirs"]))
    table.add(Row(case, "bentofn", "wall", "s", samples["ours"]))
    faster = ratios(samples["theirs"], samples["ours"])
    table.add(Row(case, "bentofn", "times faster", "x", faster, ">= 1.6"))


def import_seconds(places: list[Path], root: Path) -> float:
    """Seconds of an interpreter that imports the service and ends."""
    code = f"import sys; sys.path[:0] = {[str(place) for place in places]!r}; import service"
    environment = {"BENTOFN_ROOT": str(root), "PATH": os.environ["PATH"]}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-B", "-S", "-s", "-c", code], env=environment, check=True)
    return time.perf_counter() - began


def build_rows(bench: Bench, table: Table, rounds: int) -> None:
    """Builds without a change and after a one-line change, beside bentoml's and buildah's."""
    report("Installing stock BentoML")
    packages = [line.split()[0] for line in bench.manifest(bench.subject.name).lock]
    wanted = [line for line in packages if line.split("==")[0] in IMPORTED]
    program = today.install_bentoml(bench.folder / "bentoml", wanted)
    stock = bench.folder / "stock"
    today.write_stock_project(bench.project, stock)
    context = bench.folder / "context"
    today.write_context(context, bench.folder / "plain", bench.model_folder(), bench.project)
    storage = bench.folder / "buildah"

    def with_bentoml() -> float:
        return today.bentoml_build(program, stock, bench.folder / "bentoml-home")

    def with_buildah() -> float:
        return today.buildah_build(context, storage)

    def with_us() -> float:
        began = time.perf_counter()
        bench.build()
        return time.perf_counter() - began

    builders = {
        "bentoml build": with_bentoml,
        "buildah bud --layers": with_buildah,
        "bentofn": with_us,
    }
    for build in builders.values():
        build()
    for what in ("unchanged", "one line"):
        samples: dict[str, list[float]] = {name: [] for name in builders}
        for number in range(rounds):
            for name, build in builders.items():
                if what == "one line":
                    for project in (stock, context / "src", bench.project):
                        change_one_line(project, number)
                samples[name].append(build())
        case = f"{bench.subject.name}: build, {what}"
        for name, seconds in samples.items():
            table.add(Row(case, name, "wall", "s", seconds))
        best = [min(a, b) for a, b in zip(*list(samples.values())[:2], strict=True)]
        faster = ratios(best, samples["bentofn"])
        table.add(Row(case, "bentofn", "times the faster", "x", faster, ">= 5"))


def main() -> None:
    """Measure both services and write the table."""
    options = arguments(__doc__)
    rounds = 3 if options.quick else 7
    table = Table("artifact", ("torch", "zstandard", "uv"))
    for subject in (EMBEDDINGS,) if options.quick else (EMBEDDINGS, MLP):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(subject, Path(folder))
            subject.weigh(bench.home)
            subject.write(bench.project)
            artifact_rows(bench, table)
            import_rows(bench, table, rounds)
            if subject is EMBEDDINGS and not options.quick:
                without_torch(bench, table)
                build_rows(bench, table, rounds)
    table.write(options.json)


if __name__ == "__main__":
    main()
