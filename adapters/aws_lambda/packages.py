"""The bento of a function, packaged as its spec says or as fits best."""

from __future__ import annotations

from collections.abc import Callable

from bentofn.adapters.aws_lambda.snapstart import obstacles
from bentofn.adapters.bento import KnownBento, known_bento
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.home import Home
from bentofn.packager.lambda_.parts import LambdaPackage, Profile
from bentofn.runtime.errors import UserError

Report = Callable[[str], None]


def find_bento(home: Home, reference: str) -> KnownBento:
    """Find a bento.

    Args:
        home: Whose store.
        reference: ``name[:version]``.

    Raises:
        UserError: There is no such bento, or it is a folder.
    """
    if reference.startswith("/"):
        raise UserError(
            f"Target aws-lambda packages bentos of the store, and {reference} is a folder; name "
            "it as NAME:VERSION (bentofn list)."
        )
    return known_bento(home, reference)


def package_of(home: Home, spec: FunctionSpec, bento: KnownBento, report: Report) -> LambdaPackage:
    """Package a bento: as a zip where that fits, since SnapStart takes no other.

    Args:
        home: The home.
        spec: The function.
        bento: Its bento.
        report: Told what takes time.

    Raises:
        UserError: Lambda would not take it as what the spec says.
    """
    from bentofn.packager.lambda_.package import package

    profiles = _profiles(spec, bento)
    for profile in profiles:
        try:
            return package(home, bento.tag, profile, report)
        except UserError as error:
            if profile == profiles[-1]:
                raise
            report(f"{error} It is tried as {profiles[profiles.index(profile) + 1]}.")
    raise AssertionError("unreachable")


def _profiles(spec: FunctionSpec, bento: KnownBento) -> tuple[Profile, ...]:
    """The profiles that will do, the one with the fastest start first."""
    settings, asked = spec.settings, spec.settings.aws.package
    if asked == "image":
        return ("image",)
    snapped = settings.aws.snap_start or settings.snapshot == "auto"
    obstructed = any(obstacles(settings, f"python{bento.manifest.python}"))
    zips: tuple[Profile, ...] = ("zip", "zip-fetched") if snapped and not obstructed else ("zip",)
    return zips if asked == "zip" else (*zips, "image")
