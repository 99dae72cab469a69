"""What keeps a function from the local platform, or runs otherwise there."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.local.capabilities import CAPABILITIES
from bentofn.adapters.local.core.conformity import problems
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.environment import MACHINE_LIMIT
from bentofn.adapters.local.interpreter import check_platform
from bentofn.adapters.plan import Problem, in_order
from bentofn.adapters.settings import FunctionSpec
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest


def problems_of(
    spec: FunctionSpec, profile: Profile, manifest: BentoManifest
) -> tuple[Problem, ...]:
    """What of a function does not fit the platform, or the backend whose rules it runs by.

    Args:
        spec: The function.
        profile: The backend's rules.
        manifest: Its bento's.
    """
    own = [*CAPABILITIES.problems(spec.settings), *_authorizer(spec), *_platform(spec, manifest)]
    theirs = [
        Problem(
            each.kind,
            "as",
            f"{profile.name} refuses {spec.name}: {each.sentence}"
            if each.kind == "refused"
            else each.sentence,
        )
        for each in problems(profile, spec.settings, manifest.contract, MACHINE_LIMIT)
    ]
    return in_order([*own, *theirs])


def _authorizer(spec: FunctionSpec) -> Iterator[Problem]:
    url, profile = spec.settings.url, spec.settings.profile
    if url is not None and url.authorizer is not None and profile != "lambda":
        yield Problem(
            "refused",
            "url.authorizer",
            f"Function {spec.name!r} asks for url.authorizer aws_iam, which target local checks "
            "for functions deployed --as lambda only; leave it out to have a URL without "
            "authorization here.",
        )


def _platform(spec: FunctionSpec, manifest: BentoManifest) -> Iterator[Problem]:
    if spec.bento.startswith("/"):
        return  # an unpacked one is the caller's own affair
    try:
        check_platform(manifest)
    except UserError as error:
        yield Problem("violation", "architecture", str(error))
