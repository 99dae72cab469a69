"""The layers that are written from files at hand: the code, the runtime, the packages' bytecode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.code.bytecode import compile_files, files_below, refuse_broken
from bentofn.packager.environment.layers import Environment, add_bytecode
from bentofn.packager.environment.machine import refuse_other_machines
from bentofn.packager.environment.target import Target
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, find_layer, layer_key
from bentofn.packager.layers import LayerFile, Packing, put_layer
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.layout import ARCHIVE_PREFIX


def code_layer(inputs: BuildInputs, home: Home, store: Store, scratch: Path) -> Descriptor:
    """The project's files, and the bytecode of its modules.

    Args:
        inputs: What the build reads.
        home: Where layers are remembered.
        store: Takes the layer.
        scratch: A temporary folder.

    Raises:
        UserError: A module does not compile, or a file is for another platform than the bento.
    """
    files = inputs.tree.sources
    if inputs.target.is_foreign:
        remedy = "list it in .bentoignore, or put one for that platform in its place"
        refuse_other_machines(files, inputs.target.platform, remedy)
    executable = {file.path for file in inputs.tree.files if file.executable}

    def write() -> Descriptor:
        entries = _with_bytecode("src", files, executable, inputs.target, scratch)
        return put_layer(store, entries, kind="code", title="code")

    key = layer_key("code", inputs.tree.digest, inputs.interpreter)
    return cached_layer(home, store, key, write)


def runtime_layer(inputs: BuildInputs, home: Home, store: Store, scratch: Path) -> Descriptor:
    """The runtime, and the bytecode of its modules; the arguments are those of `code_layer`."""

    def write() -> Descriptor:
        entries = _with_bytecode("runtime", inputs.runtime, (), inputs.target, scratch)
        return put_layer(store, entries, kind="runtime", title="runtime")

    key = layer_key("runtime", inputs.runtime_digest, inputs.interpreter)
    return cached_layer(home, store, key, write)


def bytecode_layers(
    inputs: BuildInputs,
    environment: Environment,
    imported: Sequence[str],
    packing: Packing,
    home: Home,
    store: Store,
    scratch: Path,
    report: Callable[[str], None],
) -> list[Descriptor]:
    """The bytecode of those modules of the packages that a start imports; none if there are none.

    Args:
        inputs: What the build reads.
        environment: The packages.
        imported: The files of all modules that a start imports, below the root.
        packing: How hard the layer is compressed.
        home: Where layers are remembered.
        store: Takes the layer.
        scratch: A temporary folder.
        report: Told what is going on.
    """
    paths = files_below("env", imported)
    if not paths:
        return []
    key = layer_key("bytecode", environment.digest, inputs.interpreter, paths)
    found = find_layer(home, store, key)
    if found is not None:
        return [found]
    report(f"Compiling {len(paths)} modules")
    tree = environment.tree(home)
    # What this machine imports, another platform's packages may not have.
    files = {path: tree / path for path in paths if (tree / path).is_file()}
    compiled, _ = compile_files(files, "env", inputs.target, scratch / "env-bytecode")

    def write() -> Descriptor:
        return put_layer(store, compiled, kind="bytecode", title="bytecode", level=packing.level)

    layer = cached_layer(home, store, key, write)
    add_bytecode(home, environment, layer, compiled)
    return [layer]


def _with_bytecode(
    folder: str,
    files: Mapping[str, Path],
    executable: Collection[str],
    target: Target,
    scratch: Path,
) -> list[LayerFile]:
    compiled, broken = compile_files(files, folder, target, scratch / f"{folder}-bytecode")
    refuse_broken(broken)
    entries = [
        LayerFile(f"{ARCHIVE_PREFIX}/{folder}/{path}", source, path in executable)
        for path, source in files.items()
    ]
    return [*entries, *compiled]
