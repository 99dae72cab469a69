"""Sends an image to ECR, only the layers that are not there."""

from __future__ import annotations

import base64

from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.protocol import Progress
from bentofn.packager.containerize.image import Image
from bentofn.packager.containerize.push import push_image
from bentofn.packager.registry.credentials import Credentials
from bentofn.packager.registry.reference import Reference


def push(session: Session, names: Names, image: Image, progress: Progress) -> None:
    """Push an image to the function's repository, under its digest's first digits.

    Args:
        session: The account.
        names: What the function's parts are called.
        image: The image.
        progress: Told what is sent.

    Raises:
        UserError: AWS or its registry refused, or was not reached.
    """
    answer = session.ask("ecr", "GetAuthorizationToken", "*")["authorizationData"][0]
    username, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    registry = str(answer["proxyEndpoint"]).partition("://")[2]
    push_image(
        image,
        Reference(registry, names.repository),
        [image.digest.removeprefix("sha256:")[:12]],
        progress,
        credentials=Credentials(username, password),
        wait=session.wait,
    )
