"""The steps for a function's code: uploads, layers, ``$LATEST``, which nobody calls."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from bentofn.adapters.aws_lambda import configuration
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.matching import full_configuration
from bentofn.adapters.aws_lambda.step import PUSH, Made, Step, tag_list
from bentofn.adapters.plan import Change
from bentofn.packager.lambda_.parts import Part
from bentofn.packager.sizes import human_size


def upload_steps(wanted: Desired, live: Live) -> Iterator[Step]:
    """What is sent: zips through the bucket, layers published, or an image to its repository."""
    names = wanted.names
    if wanted.package.kind == "Image":
        if live.images is None:
            yield Step(
                "ecr",
                "CreateRepository",
                names.repository_arn,
                {"repositoryName": names.repository, "tags": tag_list(wanted.tags)},
                "",
                (Change("repository", None, names.repository),),
            )
        if f"sha256:{wanted.code_digest}" not in (live.images or ()):
            yield Step("ecr", PUSH, names.repository_arn, {}, "Pushing the image")
        return
    missing = [
        part
        for part in wanted.package.layers
        if part.digest not in live.layers.get(names.layer(part.name), {})
    ]
    own = [] if _has_code(wanted, live) else [wanted.package.function]
    fetched = [
        (part, key)
        for part in wanted.package.fetched
        if (key := wanted.fetched_from + part.digest.removeprefix("sha256:")) not in live.objects
    ]
    if (missing or own or fetched) and not live.bucket and not names.given_bucket:
        yield Step("s3", "CreateBucket", names.bucket_arn, _new_bucket(names.bucket, names.region))
    for part, key in fetched:
        yield _object(wanted, part, key)
    for part in (*missing, *own):
        key = names.key(part.digest)
        if key not in live.objects:
            yield _object(wanted, part, key)
        if part in missing:
            yield _layer(wanted, part)


def _new_bucket(bucket: str, region: str) -> dict[str, Any]:
    if region == "us-east-1":
        return {"Bucket": bucket}
    return {"Bucket": bucket, "CreateBucketConfiguration": {"LocationConstraint": region}}


def _object(wanted: Desired, part: Part, key: str) -> Step:
    digest = bytes.fromhex(part.digest.removeprefix("sha256:"))
    return Step(
        "s3",
        "PutObject",
        f"{wanted.names.bucket_arn}/{key}",
        {
            "Bucket": wanted.names.bucket,
            "Key": key,
            "ChecksumSHA256": base64.b64encode(digest).decode(),
        },
        f"Uploading {part.name} ({human_size(part.size)})",
        body=part,
    )


def _layer(wanted: Desired, part: Part) -> Step:
    names = wanted.names
    return Step(
        "lambda",
        "PublishLayerVersion",
        f"{names.arn.replace(':function:', ':layer:')}-{part.name}",
        {
            "LayerName": names.layer(part.name),
            "Description": part.digest,
            "Content": {"S3Bucket": names.bucket, "S3Key": names.key(part.digest)},
            "CompatibleRuntimes": [wanted.package.runtime],
            "CompatibleArchitectures": [wanted.package.architecture],
        },
        f"Publishing the layer {part.name}",
        keeps=(f"layer {part.name}", "LayerVersionArn"),
    )


def _has_code(wanted: Desired, live: Live) -> bool:
    latest = live.latest
    return (
        latest is not None
        and latest.code == wanted.code_digest
        and latest.architectures == (wanted.package.architecture,)
    )


def code_steps(wanted: Desired, live: Live) -> Iterator[Step]:
    """``$LATEST``, which nobody calls."""
    names, package = wanted.names, wanted.package
    about, which = names.arn, {"FunctionName": names.function}
    full = full_configuration(wanted, live)
    code: dict[str, Any] = {"S3Bucket": names.bucket}
    if package.kind == "Image":
        code = {"ImageUri": Made("image")}
    else:
        code["S3Key"] = names.key(package.function.digest)
    if live.latest is None:
        yield Step(
            "lambda",
            "CreateFunction",
            about,
            {
                **which,
                **configuration.of_creation({**full, "Description": wanted.description}),
                "PackageType": package.kind,
                "Architectures": [package.architecture],
                "Code": code,
                "Tags": dict(wanted.tags),
            },
            f"Creating the function {names.function}",
            (Change("function", None, names.function), Change("bento", None, wanted.bento)),
            until="function",
        )
        return
    if not _has_code(wanted, live):
        more = {"Architectures": [package.architecture], **code}
        says = "Updating the function's code"
        yield Step("lambda", "UpdateFunctionCode", about, {**which, **more}, says, until="function")
    differing = configuration.differing(full, live.latest.configuration)
    if live.latest.description != wanted.description:
        differing["Description"] = wanted.description
    if differing:
        says = "Updating the function's configuration"
        yield Step(
            "lambda",
            "UpdateFunctionConfiguration",
            about,
            {**which, **differing},
            says,
            until="function",
        )


def description_steps(wanted: Desired, live: Live) -> Iterator[Step]:
    """The description is the function's and no version's: a version says which bento it is."""
    if live.latest is None or live.latest.description == wanted.description:
        return
    names = wanted.names
    yield Step(
        "lambda",
        "UpdateFunctionConfiguration",
        names.arn,
        {"FunctionName": names.function, "Description": wanted.description},
        "",
        (Change("description", live.latest.description or None, wanted.description or None),),
        until="function",
    )
