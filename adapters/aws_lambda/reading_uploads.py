"""Reads what was sent for a function: layers, objects, images.

Each answer is members of :class:`bentofn.adapters.aws_lambda.live.Live`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.packager.lambda_.parts import LAYERS

FRESH = 3600.0
"""Seconds for which something that was sent may be another deployment's, which has still to use it;
one that takes longer sends it again."""


def read_layers(session: Session, names: Names) -> dict[str, Any]:
    """The versions of a function's layers."""
    found = session.together([partial(_layer, session, names.layer(part)) for part in LAYERS])
    every = {names.layer(part): each for part, each in zip(LAYERS, found, strict=True) if each}
    return {
        "layers": {
            layer: {digest: arn for digest, arn, _ in each} for layer, each in every.items()
        },
        "fresh": frozenset(arn for each in found for _, arn, is_fresh in each if is_fresh),
    }


def _layer(session: Session, layer: str) -> list[tuple[str, str, bool]]:
    """Digest and ARN of a layer's versions, and whether they are fresh."""
    which = {"LayerName": layer}
    versions = session.pages("lambda", "ListLayerVersions", layer, "LayerVersions", **which)
    return [
        (each.get("Description", ""), each["LayerVersionArn"], _is_fresh(each.get("CreatedDate")))
        for each in _oldest(versions)
    ]


def _is_fresh(made: Any) -> bool:
    """Whether a moment, as AWS writes it, is within the last hour."""
    if isinstance(made, str):
        made = datetime.strptime(made, "%Y-%m-%dT%H:%M:%S.%f%z")
    return made is not None and time.time() - made.timestamp() < FRESH


def _oldest(versions: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(versions, key=lambda each: int(each["Version"]))


def read_objects(session: Session, names: Names) -> dict[str, Any]:
    """A function's objects in its bucket."""
    bucket = names.bucket
    # The names of buckets are all the world's: in another's, what is sent could be exchanged.
    owned = {} if names.given_bucket else {"ExpectedBucketOwner": names.account}
    there = session.find("s3", "HeadBucket", names.bucket_arn, Bucket=bucket, **owned) is not None
    if not there:
        return {}
    listed = session.pages(
        "s3", "ListObjectsV2", names.bucket_arn, "Contents", Bucket=bucket, Prefix=names.prefix
    )
    made = {each["Key"]: each.get("LastModified") for each in listed}
    fresh = frozenset(key for key, at in made.items() if _is_fresh(at))
    return {"bucket": True, "objects": tuple(made), "fresh": fresh}


def read_images(session: Session, names: Names) -> dict[str, Any]:
    """The images in a function's repository."""
    about = names.repository_arn
    wanted = {"repositoryNames": [names.repository]}
    if session.find("ecr", "DescribeRepositories", about, **wanted) is None:
        return {}
    listed = session.pages(
        "ecr", "DescribeImages", about, "imageDetails", repositoryName=names.repository
    )
    made = {each["imageDigest"]: each.get("imagePushedAt") for each in listed}
    fresh = frozenset(digest for digest, at in made.items() if _is_fresh(at))
    return {"images": tuple(sorted(made)), "fresh": fresh}
