"""System packages and a setup script as layers: run in the unpacked image, without a daemon."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from bentofn.packager.config.model import ImageOptions
from bentofn.packager.containerize.base import Base
from bentofn.packager.containerize.blob import Layer, file_blob
from bentofn.packager.containerize.chroot import run_inside, why_not
from bentofn.packager.containerize.difference import changes, snapshot, write_changes
from bentofn.packager.containerize.media import TAR_ZSTD
from bentofn.packager.containerize.rootfs import folder_inside, unpack_image
from bentofn.packager.environment.target import host_platform
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers.tar import ZSTD_LEVEL, ZSTD_THREADS
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.roots.trees import unpack_blob
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.packager.store.descriptors import LAYER_DIFF_ID, LAYER_KIND
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX, BentoRoot
from bentofn.runtime.manifest import BentoManifest

Report = Callable[[str], None]

SYSTEM_RULES = 1
"""Raised when the same command would make another layer."""

# policy-rc.d is Debian's way to install a service without starting it.
_INSTALL = r"""
if command -v apt-get >/dev/null; then
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
  apt-get update -q && apt-get install -q -y --no-install-recommends {packages}
elif command -v apk >/dev/null; then apk add --no-cache {packages}
elif command -v microdnf >/dev/null; then microdnf install -y {packages}
elif command -v dnf >/dev/null; then dnf install -y {packages}
elif command -v yum >/dev/null; then yum install -y {packages}
else
  echo "it has no apt-get, apk, dnf or yum; use a base image that has one, or the packages" >&2
  exit 1
fi
"""

_SCRIPT = "run/bentofn"
_TREES = ("env", "models", "runtime")


@dataclass(frozen=True)
class Ground:
    """What commands run on.

    Args:
        home: The home.
        store: Its store.
        entry: The bento.
        bento: Its manifest.
        base: The base image.
        report: Told what is going on.
    """

    home: Home
    store: Store
    entry: Entry
    bento: BentoManifest
    base: Base
    report: Report

    @property
    def remedy(self) -> str:
        """How an image can be had where commands cannot be run, as a sentence."""
        return (
            f"Write a Dockerfile instead, for a machine with a builder: bentofn containerize "
            f"{self.entry.tag} --dockerfile DIR."
        )


def system_layers(ground: Ground, options: ImageOptions) -> tuple[Layer, ...]:
    """The layers of a bento's system packages and setup script; none if it has neither.

    They are made once: packages stay at the versions of that day until the layer is collected.

    Args:
        ground: What they are made on.
        options: What the bentofile says.

    Raises:
        UserError: The commands fail or cannot be run here, or the disk is full.
    """
    layers: tuple[Layer, ...] = ()
    if options.system_packages:
        packages = " ".join(shlex.quote(name) for name in options.system_packages)
        title = f"system packages {packages}"
        layers += (_layer(ground, layers, title, [packages], _install(ground, packages)),)
    if options.setup_script:
        key = [options.setup_script, ground.entry.digest]
        layers += (_layer(ground, layers, "setup script", key, _script(ground, options)),)
    return layers


Run = Callable[[Path, Path], None]
"""Runs a command in a root; the second folder is for scratch."""


def _install(ground: Ground, packages: str) -> Run:
    def run(root: Path, _: Path) -> None:
        ground.report(f"Installing {packages}")
        command = _INSTALL.format(packages=packages)
        what = f"Installing {packages} on {ground.base.name}"
        run_inside(root, command, _variables(ground), (), what, ground.remedy)

    return run


def _script(ground: Ground, options: ImageOptions) -> Run:
    def run(root: Path, scratch: Path) -> None:
        atomic_write(scratch / "setup_script", str(options.setup_script).encode(), 0o755)
        tree = BentoRoot(materialise(ground.home, ground.entry))
        shown = [(tree.path / name, f"{ARCHIVE_PREFIX}/{name}") for name in _TREES]
        # Models stand behind links that lead nowhere in the root; each is shown by itself.
        binds = [(source, inside) for source, inside in shown if source.name != "models"]
        binds += [
            (tree.models / model.name / model.version,
             f"{ARCHIVE_PREFIX}/models/{model.name}/{model.version}")
            for model in ground.bento.models
        ]  # fmt: skip
        ground.report("Running the setup script")
        command = f"cd /{ARCHIVE_PREFIX} && exec /{_SCRIPT}/setup_script"
        variables = {**_variables(ground), **ground.bento.envs}
        what = f"The setup script of {ground.entry.tag}"
        run_inside(root, command, variables, [*binds, (scratch, _SCRIPT)], what, ground.remedy)

    return run


def _layer(
    ground: Ground, below: Sequence[Layer], title: str, inputs: Sequence[str], run: Run
) -> Layer:
    home, store, base = ground.home, ground.store, ground.base

    def write() -> Descriptor:
        reason = why_not(ground.bento.platform, host_platform())
        if reason is not None:
            raise UserError(
                f"The {title} of {ground.entry.tag} cannot be put on {base.name} here: {reason}. "
                f"{ground.remedy}"
            )
        with temporary_directory(home.directory(home.cache)) as folder:
            root, scratch = folder / "root", folder / "scratch"
            root.mkdir(mode=0o755)
            scratch.mkdir(mode=0o755)
            ground.report(f"Unpacking {base.name}")
            unpack_image((*base.layers, *below), root, base.name)
            _unpack_code(ground, root)
            before = snapshot(root)
            run(root, scratch)
            after = snapshot(root)
            changed, gone = changes(before, after)
            archive = folder / "archive"
            with archive.open("wb") as file:
                write_changes(root, after, changed, gone, file)
            return _store(store, archive)

    digests = [layer.diff_id for layer in (*base.layers, *below)]
    key = layer_key("system", SYSTEM_RULES, title, digests, list(inputs))
    written = cached_layer(home, store, key, write)
    blob = file_blob(store.blob_path(written.digest), written, title, "try again")
    return Layer(blob, written.annotations[LAYER_DIFF_ID], title)


def _unpack_code(ground: Ground, root: Path) -> None:
    """The code, before the snapshot, so that only what a script changes in it is a difference."""
    code = folder_inside(root, f"{ARCHIVE_PREFIX}/src", ground.base.name)
    for layer in ground.store.descriptors(ground.entry):
        if layer.annotations.get(LAYER_KIND) == "code":
            remedy = "build or pull the bento again"
            unpack_blob(ground.store, layer, code, f"{ARCHIVE_PREFIX}/src", remedy)


def _variables(ground: Ground) -> dict[str, str]:
    given = [str(item).partition("=") for item in ground.base.settings.get("Env") or ()]
    return {
        **{name: value for name, _, value in given},
        "HOME": "/root",
        "DEBIAN_FRONTEND": "noninteractive",
    }


def _store(store: Store, archive: Path) -> Descriptor:
    with archive.open("rb") as file:
        diff_id, _ = hash_stream(file)
    with store.blobs.stage() as staged, archive.open("rb") as file:
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=ZSTD_THREADS)
        compressor.copy_stream(file, staged.file)
        staged.file.seek(0)
        digest, size = hash_stream(staged.file)
        store.blobs.commit(staged, digest)
    return Descriptor(TAR_ZSTD, digest, size, {LAYER_DIFF_ID: diff_id})
