"""Traces a bento's first answer, in a process that may mount.

    python -m bentofn.packager.prefetch.tracer HOME TAG INTERPRETER LEVEL OUTPUT

The service runs in a root like its own, whose environment and models are a mounted file system of
ours that shows the same files, sees every look-up, open and page, and reads nothing ahead. In the
folder OUTPUT there are then ``list.json`` and ``pack``, or ``error`` with a sentence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bentofn.packager.code.contract import child_environment, run_limited
from bentofn.packager.fuse.server import Server
from bentofn.packager.fuse.tree import Tree, plain_tree
from bentofn.packager.home import Home
from bentofn.packager.lazy.plan import make_plan, stored_toc
from bentofn.packager.parts import ModelLayer, files_of, models_of
from bentofn.packager.prefetch import audit_script
from bentofn.packager.prefetch.blocks import cut_blocks
from bentofn.packager.prefetch.choose import choose
from bentofn.packager.prefetch.pack import write_pack
from bentofn.packager.prefetch.trace import PLACES, HotFile, Recorder, Trace, whole_file
from bentofn.packager.prefetch.trial import start_once
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.roots.mount_probe import can_mount
from bentofn.packager.roots.mounts import enter_private_namespace
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import LAYER_PATH
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX, BentoRoot

LIST, ERROR = "list.json", "error"


def run_tracer(home: Home, entry: Entry, interpreter: Path, level: int, output: Path) -> None:
    """Trace a bento's first answer.

    Args:
        home: The home.
        entry: The bento.
        interpreter: What runs it.
        level: zstd's level for the pack.
        output: A folder for the list and the pack.

    Raises:
        UserError: The service does not start here; the sentence says why.
    """
    command = [sys.executable, "-m", __name__, str(home.path), entry.tag, str(interpreter)]
    command += [str(level), str(output)]
    status, stderr = run_limited(command, os.environ)
    if (output / ERROR).exists():
        raise UserError((output / ERROR).read_text())
    if status:
        lines = stderr.decode(errors="replace").strip().splitlines()
        raise UserError(lines[-1][:300] if lines else f"the tracer ended with status {status}")


def pack_paths(output: Path) -> list[Path]:
    """The packs that the tracer wrote, in order."""
    paths = [_pack_path(output, place) for place in PLACES]
    return [path for path in paths if path.exists()]


def _pack_path(output: Path, place: str) -> Path:
    return output / f"{place}.pack"


def packable(store: Store, layers: tuple[Descriptor, ...]) -> Iterator[str]:
    """Paths in a bento's root of the files that may arrive late, and so belong into a pack."""
    plan = make_plan(layers)
    for layer in plan.chunked:
        for item in stored_toc(store, layer).entries:
            if item.kind == "file":
                yield item.path.removeprefix(f"{ARCHIVE_PREFIX}/")
    for part in plan.parts:
        yield part.annotations[LAYER_PATH].removeprefix(f"{ARCHIVE_PREFIX}/")


def weights_of(layers: tuple[Descriptor, ...]) -> dict[str, list[ModelLayer]]:
    """The weights of a bento by their path in its root, with their parts in order."""
    return {
        f"{place}/{path}": parts
        for place, model in models_of(layers).items()
        for path, parts in files_of(model).items()
    }


def trees_of(root: BentoRoot) -> list[tuple[str, Path]]:
    """The trees of a root that may arrive late: path in the root, and directory."""
    models = sorted(path for path in root.models.glob("*/*") if path.is_dir())
    places = [root.environment, *models]
    return [(str(path.relative_to(root.path)), path.resolve()) for path in places if path.exists()]


def shadow(root: BentoRoot, folder: Path, places: Path) -> Path:
    """A root like another, whose environment and models are those below ``places``."""
    folder.mkdir()
    (folder / root.manifest.name).write_bytes(root.manifest.read_bytes())
    for part in (root.source, root.runtime):
        (folder / part.name).symlink_to(part.resolve())
    for part in (root.environment, root.models):
        (folder / part.name).symlink_to(places / part.name)
    return folder


def trace_pages(root: BentoRoot, interpreter: Path, scratch: Path) -> Trace:
    """Trace single pages; this process has a mount namespace of its own.

    Raises:
        UserError: The service does not start.
    """
    tree = plain_tree(trees_of(root))
    recorder = Recorder()
    server = Server(tree, recorder, list_attributes=False)
    target = scratch / "mounted"
    target.mkdir()
    server.mount(target)
    try:
        start_once(interpreter, shadow(root, scratch / "root", target), _environment(root))
    finally:
        server.unmount(target)
    return recorder.trace(tree)


def trace_files(root: BentoRoot, interpreter: Path, scratch: Path) -> Trace:
    """Trace whole files, where nothing can be mounted.

    Raises:
        UserError: The service does not answer its examples.
    """
    seen, answers = scratch / "seen.json", scratch / "answers.json"
    command = [str(interpreter), "-I", "-S", "-u", audit_script.__file__, str(seen)]
    command += [str(root.boot_script), "examples", "--root", str(root.path)]
    command += ["--output", str(answers)]
    try:
        _, stderr = run_limited(command, _environment(root))
    except subprocess.TimeoutExpired:
        raise UserError("answering the examples does not end") from None
    try:
        failure = json.loads(answers.read_bytes()).get("error")
        paths = [Path(path) for path in json.loads(seen.read_bytes())]
    except (FileNotFoundError, ValueError):
        lines = stderr.decode(errors="replace").strip().splitlines()
        raise UserError(lines[-1][:300] if lines else "its process ended") from None
    if failure:
        raise UserError(str(failure))
    return Trace(tuple(_whole(root, plain_tree(trees_of(root)), paths)), pages=False)


def _whole(root: BentoRoot, tree: Tree, paths: list[Path]) -> Iterator[HotFile]:
    found = set()
    for place, directory in trees_of(root):
        for path in paths:
            for top in (directory, root.path / place):
                if path.is_relative_to(top):
                    found.add(f"{place}/{path.relative_to(top)}")
    sizes = {node.path: node.content.size for node in tree.nodes() if node.content}
    for name in sorted(found & sizes.keys()):
        yield whole_file(name, sizes[name])


def _environment(root: BentoRoot) -> dict[str, str]:
    from bentofn.runtime.manifest import BentoManifest

    return child_environment(BentoManifest.read(root.manifest).envs)


def main(argv: list[str]) -> int:
    """The process."""
    home, tag, interpreter = Home(Path(argv[0])), argv[1], Path(argv[2])
    level, output = int(argv[3]), Path(argv[4])
    try:
        mountable = can_mount("fuse") is None
        if mountable:
            enter_private_namespace()
        store = Store(home)
        entry = store.get("bento", tag)
        root = BentoRoot(materialise(home, entry))
        look: Callable[[BentoRoot, Path, Path], Trace]
        look = trace_pages if mountable else trace_files
        layers = store.descriptors(entry)
        seen = look(root, interpreter, output)
        trace = choose(seen, set(packable(store, layers)), weights_of(layers))
    except UserError as error:
        (output / ERROR).write_text(str(error))
        return 1
    weights = {part.digest: part.size for part in make_plan(store.descriptors(entry)).parts}

    def read_blob(digest: str, offset: int, size: int) -> bytes:
        with store.blob_path(digest).open("rb") as blob:
            return os.pread(blob.fileno(), size, offset)

    trace = replace(trace, blocks=cut_blocks(weights, read_blob))
    (output / LIST).write_bytes(trace.to_json())
    places = dict(trees_of(root))

    def read(path: str, offset: int, size: int) -> bytes:
        place = next(place for place in places if path.startswith(f"{place}/"))
        with (places[place] / path.removeprefix(f"{place}/")).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    for name in PLACES:
        part = trace.below(name)
        if part.packed_bytes:
            with _pack_path(output, name).open("wb") as pack:
                write_pack(part, read, pack, level)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
