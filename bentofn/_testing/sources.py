"""What a test wants to have deployed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from bentofn.adapters.local.bentos import resolve_bento
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest


def spec_of(source: str | Path, name: str | None, report: Callable[[str], None]) -> FunctionSpec:
    """The function that a source declares; its project is built in the user's home.

    Args:
        source: A project's folder, an unpacked bento's, or a bento's tag.
        name: Its name, or which of the project's functions is meant.
        report: Told about each step and each warning.

    Raises:
        UserError: There is none, there are several, or it cannot be built.
    """
    root = BentoRoot(Path(source).absolute())
    if root.manifest.is_file():
        manifest = BentoManifest.read(root.manifest)
        return FunctionSpec(name or manifest.name, str(root.path))
    from bentofn.commands.sources import declared, to_deploy

    home = Home.default()
    found = {each.name: each for each in declared(str(source), None, {}, home, report)}
    if name not in found and len(found) > 1:
        raise UserError(f"{source} declares several functions; name one of: {', '.join(found)}.")
    function = found[name] if name in found else next(iter(found.values()))
    spec = to_deploy(function, {}, home, report)
    unpacked = resolve_bento(home, spec.bento).root.path
    return dataclasses.replace(spec, name=name or spec.name, bento=str(unpacked))
