"""`bentofn doctor`: what this machine offers, and leftovers of killed processes."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from bentofn import __version__
from bentofn.adapters.local.isolation.groups import clear_group
from bentofn.commands.output import json_option, print_json, print_table
from bentofn.packager.files import clear_stale, is_stale
from bentofn.packager.home import Home, leftovers
from bentofn.packager.roots.mount_probe import can_mount
from bentofn.packager.roots.mounts import FileSystem
from bentofn.packager.sizes import human_size

ENGINES = {
    "criu": "Snapshots are restored from disk (criu); else a warmed parent forks (template).",
    "template": "A warmed parent forks (template); snapshots on disk (criu) cannot be used.",
    "none": "Every start is a plain one: neither criu nor template can be used.",
}
"""What the best engine of a machine means."""

LITTLE = 10**9
"""Bytes below which free space is reported as a fault."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: The thing.
        ok: Whether it is as it should be.
        detail: What was found.
        mend: The command that mends it, where there is one.
    """

    what: str
    ok: bool
    detail: str
    mend: str | None = None


@click.command()
@click.option("--fix", is_flag=True, help="Remove leftovers.")
@json_option
def doctor(fix: bool, as_json: bool) -> None:
    """What this machine offers; finds and clears leftovers."""
    home = Home.default()
    engines = {"criu": criu_engine(), "template": template_engine()}
    findings = [*machine(), *engines.values(), gpus(), *isolation(), storage(home)]
    engine = next((name for name, finding in engines.items() if finding.ok), "none")
    left = [*leftovers(home), *unreadable(home)] if home.path.is_dir() else []
    groups = abandoned_groups(home)
    if fix:
        for path in left:
            clear_stale(path)
        for path in groups:
            clear_group(path)
    left += groups
    if as_json:
        print_json(
            {
                "engine": engine,
                "findings": [vars(finding) for finding in findings],
                "leftovers": [str(path) for path in left],
                "removed": fix,
            }
        )
        return
    print_table(
        ("", "WHAT", "FOUND"),
        [("ok" if each.ok else "--", each.what, each.detail) for each in findings],
    )
    click.echo(ENGINES[engine])
    for path in left:
        click.echo(f"{'Removed' if fix else 'Leftover:'} {path}")
    if left and not fix:
        click.echo("bentofn doctor --fix removes them.")


def machine() -> list[Finding]:
    """What decides how fast a start can be here."""
    dies = sys.platform == "linux"
    return [
        Finding("bentofn", True, f"{__version__}, Python {platform.python_version()}"),
        Finding(
            "instances die with the platform",
            True,
            "at once, by the kernel" if dies else "when they next look at their control socket",
        ),
        _mount("erofs", "environments as images that are mounted, not unpacked"),
        _mount("fuse", "bentos that start while they are still being fetched"),
        _module("uvloop", "faster event loop"),
        _module("torch", "import of torch checkpoints into the model store"),
    ]


def criu_engine() -> Finding:
    """Whether snapshots on disk can be restored here."""
    from bentofn.packager.snapshot.criu.binary import CriuUnfit, find_criu

    what = "snapshot engine: criu"
    try:
        criu = find_criu()
    except CriuUnfit as error:
        return Finding(what, False, str(error), error.mend)
    return Finding(what, True, f"started services on disk; CRIU {criu.version}, {criu.path}")


def template_engine() -> Finding:
    """Whether a warmed parent can fork here."""
    forks = hasattr(os, "fork")
    detail = "a warmed parent that forks" if forks else "this system has no fork"
    return Finding("snapshot engine: template", forks, detail)


def gpus() -> Finding:
    """Whether instances can give up their GPU and stay; asking the driver takes seconds."""
    from bentofn.runtime.cuda.checkpoint import CannotCheckpoint, shown
    from bentofn.runtime.cuda.controller import Controller
    from bentofn.runtime.cuda.library import Library
    from bentofn.runtime.errors import UserError

    what = "GPU memory checkpointed"
    try:
        if Library.find() is None:
            return Finding(what, False, "no NVIDIA driver here (libcuda.so.1)")
        controller = Controller()
        try:
            version, found = controller.version(), controller.devices()
        finally:
            controller.close()
    except (CannotCheckpoint, UserError) as error:
        return Finding(what, False, str(error).rstrip("."))
    models = ", ".join(f"{each.model}, {human_size(each.memory)}" for each in found)
    driver = driver_version()
    return Finding(what, True, f"{models}; driver {driver}for CUDA {shown(version)}")


def driver_version() -> str:
    """The NVIDIA driver's own version, with a space behind; empty where the kernel has none."""
    from re import search

    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return ""
    found = search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return f"{found[1]} " if found else ""


def isolation() -> list[Finding]:
    """Whether instances are kept apart, and within their limits."""
    from bentofn.adapters.local.isolation.hierarchies import find_hierarchies
    from bentofn.runtime.namespaces import Namespaces

    apart = Namespaces.find() is not None
    found = find_hierarchies()
    limited = [
        name for name in ("memory", "cpu") if name in found and os.access(found[name].own, os.W_OK)
    ]
    missing = "no control group may be made here: memorySize and cpu are not enforced"
    return [
        Finding(
            "instances are kept apart",
            apart,
            "pid and mount namespaces of their own"
            if apart
            else "only root may make namespaces; other instances of this user can be signalled",
        ),
        Finding("limits of instances", bool(limited), ", ".join(limited) or missing),
    ]


def abandoned_groups(home: Home) -> list[Path]:
    """Control groups of a platform that was killed."""
    from bentofn.adapters.local import daemon
    from bentofn.adapters.local.isolation.groups import stale_groups
    from bentofn.adapters.local.isolation.policy import groups_record

    return [] if daemon.status(home) is not None else stale_groups(groups_record(home))


def unreadable(home: Home) -> list[Path]:
    """Snapshots that nothing can be started from, as their records are damaged."""
    from bentofn.packager.snapshot.store import SnapshotStore

    if not home.snapshots.is_dir():
        return []
    return [path for path in SnapshotStore(home).unreadable() if is_stale(path)]


def storage(home: Home) -> Finding:
    """The home and the space that it has."""
    place = home.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{home.path}, {human_size(free)} free"
    if not place.is_dir():
        return Finding("home", False, f"{place} is not a directory; move it away")
    if not os.access(place, os.W_OK):
        return Finding("home", False, f"{detail}, not writable; set BENTOFN_HOME elsewhere")
    if free < LITTLE:
        return Finding("home", False, f"{detail}, too little for a large model")
    return Finding("home", True, detail)


def _mount(kind: FileSystem, use: str) -> Finding:
    refusal = can_mount(kind)
    return Finding(f"private mounts: {kind}", refusal is None, refusal or use)


def _module(name: str, use: str) -> Finding:
    from importlib.util import find_spec

    found = find_spec(name) is not None
    return Finding(name, found, use if found else f"not installed (for: {use})")
