"""What does not fit the region that a function is deployed to."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.aws_lambda.snapstart import is_in
from bentofn.adapters.plan import Problem
from bentofn.adapters.protocol import FunctionSettings
from bentofn.packager.lambda_.parts import LambdaPackage


def problems_of_region(
    settings: FunctionSettings, region: str, package: LambdaPackage | None = None
) -> Iterator[Problem]:
    """What of the region does not fit: commands without a file look in the chain's own.

    Args:
        settings: How the function runs.
        region: Where the chain of credentials leads.
        package: Its code.
    """
    if package is not None and not is_in(region):
        yield from _without_snapstart(settings, region, package)
    for queue in settings.aws.queues:
        if queue.region != region:
            yield Problem(
                "violation",
                "events.sqs",
                f"Queue {queue.arn} is not in {region}, where the function is; Lambda takes "
                "messages of its own region only.",
            )
    asked = settings.aws.region
    if asked is not None and asked != region:
        yield Problem(
            "violation",
            "provider.region",
            f"provider.region is {asked} and AWS_DEFAULT_REGION, or your profile, says {region}; "
            f"make them agree, as in AWS_DEFAULT_REGION={asked}.",
        )


def _without_snapstart(
    settings: FunctionSettings, region: str, package: LambdaPackage
) -> Iterator[Problem]:
    why = f"SnapStart, which AWS does not have in {region}"
    if settings.aws.snap_start:
        yield Problem("violation", "snapStart", f"snapStart needs {why}; leave it out.")
    elif package.fetched:
        yield Problem("violation", "packaging", f"zip-fetched needs {why}; say packaging: image.")
    elif settings.snapshot == "auto" and package.kind == "Zip":
        yield Problem("differs", "provider.region", f"It starts without {why}.")
