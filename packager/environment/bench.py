"""Where a service runs while it is built: its own environment, or one of this machine like it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.environment.install import install
from bentofn.packager.environment.layers import Environment, environment_key
from bentofn.packager.environment.requirements import Requirements
from bentofn.packager.environment.resolve import Lock, cached_lock, lock_key, resolve
from bentofn.packager.environment.target import Target
from bentofn.packager.files import link_tree, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.slim.level import Slimming, find_slimming
from bentofn.packager.slim.tree import slim_tree
from bentofn.runtime.errors import UserError


@dataclass(frozen=True)
class Bench:
    """An environment in which a service can be imported and answer its examples here.

    Args:
        lock: Its packages.
        target: This machine.
        digest: Names it.
        tree: Makes sure of its folder, and gives it.
        unslimmed: Where it is left as it was before slimming, if it is made by this build.
        notes: How it differs from the bento's own, one sentence each.
    """

    lock: Lock
    target: Target
    digest: str
    tree: Callable[[], Path]
    unslimmed: Path
    notes: tuple[str, ...] = ()


def own_bench(
    environment: Environment, lock: Lock, target: Target, home: Home, unslimmed: Path
) -> Bench:
    """The bento's own environment, where this machine can run it."""
    return Bench(lock, target, environment.digest, lambda: environment.tree(home), unslimmed)


def bench_like(
    theirs: Lock,
    target: Target,
    slimming: Slimming,
    requirements: Requirements,
    project: Path,
    home: Home,
    report: Callable[[str], None],
    unslimmed: Path,
) -> Bench:
    """An environment of this machine with the packages of one for another platform.

    It meets the same requirements, with the same versions where this machine can have them.

    Args:
        theirs: The lock of the other platform.
        target: The other platform.
        slimming: The other platform's, whose level holds here too.
        requirements: What both must satisfy.
        project: The project's folder.
        home: The home.
        report: Told what is going on.
        unslimmed: As for ``make_environment``.

    Raises:
        UserError: This machine cannot have such an environment.
    """
    here = target.here
    ours = _lock_like(theirs, here, requirements, project, home, report)
    own = find_slimming(slimming.level, here)
    key = environment_key(ours, here, own)

    def tree() -> Path:
        found = home.unpacked / f"bench-{key[:32]}"
        with home.lock(f"env-{key[:32]}", waiting=report):
            if found.is_dir():
                return found
            with temporary_directory(home.directory(home.unpacked)) as scratch:
                report(f"Installing {len(ours.lines)} packages for {here.platform} too")
                fresh = scratch / "env"
                install(ours, requirements.settings, here, fresh, project, home)
                if own.level != "off":
                    link_tree(fresh, unslimmed)
                    slim_tree(fresh, own.strip)
                fresh.rename(found)
        return found

    notes = []
    if own.level != "off":
        notes.append(
            f"Slimming was proved by the examples on {here.platform}, with the same rules and "
            f"packages, not on {target.platform}."
        )
    if different := _differences(ours, theirs):
        notes.append(
            f"The service was imported on {here.platform} with other versions than the bento "
            f"holds for {target.platform}: {different}."
        )
    return Bench(ours, here, key, tree, unslimmed, tuple(notes))


def _lock_like(
    theirs: Lock,
    here: Target,
    requirements: Requirements,
    project: Path,
    home: Home,
    report: Callable[[str], None],
) -> Lock:
    pins = tuple(f"{name}=={_release(version)}" for name, version in theirs.versions.items())
    exactly = replace(requirements, constraints=(*requirements.constraints, *pins))
    for wanted, like in ((exactly, None), (requirements, theirs)):
        found = cached_lock(lock_key(project, wanted, here, like), home)
        if found is not None:
            return found
    report(f"Resolving the requirements for {here.platform} too, to import the service here")
    with suppress(UserError):
        return resolve(project, exactly, here, home)
    try:
        return resolve(project, requirements, here, home, like=theirs)
    except UserError as error:
        raise UserError(
            f"The service cannot be imported here to see what it promises: {error}"
        ) from None


def _differences(ours: Lock, theirs: Lock) -> str:
    """The packages that two locks hold in different versions, builds of one version aside."""
    there = theirs.versions
    return ", ".join(
        f"{name} {version} instead of {there[name]}"
        for name, version in ours.versions.items()
        if name in there and _release(version) != _release(there[name])
    )


def _release(version: str) -> str:
    return version.partition("+")[0]
