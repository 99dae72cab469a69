"""What a function's parts are called in an account, so that each can be found by its name."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bentofn.adapters.protocol import FunctionSpec

ALIAS = "live"
"""The alias that gets the requests."""

FUNCTION_TAG = "bentofn:function"
"""Tag with the function's name in ``serverless.yml``: what has it was made by bentofn."""

BUCKET_TAG = "bentofn:bucket"
"""Tag with the bucket that the user named for what is sent."""

LOG_GROUPS = "/aws/lambda/"

ROLES = "/bentofn/"
"""Path of the roles. They are made first and go last, so that whatever else is there is found."""

_LONGEST_ROLE = 64
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
"""ECR takes fewer names than Lambda. Source:
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html"""


@dataclass(frozen=True)
class Names:
    """The names of one function's parts.

    Args:
        name: The function's name in ``serverless.yml``.
        function: Its name in AWS.
        partition: ``aws``, or that of another of AWS's clouds.
        region: The region.
        account: Number of the account.
        given_bucket: The user's own bucket; empty for one that bentofn makes.
    """

    name: str
    function: str
    partition: str
    region: str
    account: str
    given_bucket: str = ""

    @property
    def role_path(self) -> str:
        """Path of its roles."""
        return f"{ROLES}{self.region}/{self.name}/{self.function}/"

    @property
    def role(self) -> str:
        """The role that it runs as."""
        return _short(f"{self.function}-{self.region}-lambdaRole", _LONGEST_ROLE)

    @property
    def schedule_role(self) -> str:
        """The role that its schedules call it as."""
        return _short(f"{self.function}-{self.region}-schedules", _LONGEST_ROLE)

    @property
    def schedule_group(self) -> str:
        """The group of its schedules, which goes with all that is in it."""
        return self.function

    @property
    def schedule_group_arn(self) -> str:
        """That group."""
        place = f"{self.region}:{self.account}"
        return f"arn:{self.partition}:scheduler:{place}:schedule-group/{self.schedule_group}"

    def schedule_arn(self, schedule: str) -> str:
        """One of the schedules.

        Args:
            schedule: Its name.
        """
        place = f"{self.region}:{self.account}"
        return f"arn:{self.partition}:scheduler:{place}:schedule/{self.schedule_group}/{schedule}"

    @property
    def log_group(self) -> str:
        """Where it writes."""
        return f"{LOG_GROUPS}{self.function}"

    @property
    def bucket(self) -> str:
        """Where its zips are put."""
        return self.given_bucket or f"bentofn-{self.account}-{self.region}"

    @property
    def prefix(self) -> str:
        """Of its objects there."""
        return f"bentofn/{self.function}/"

    @property
    def repository(self) -> str:
        """Where its images are put."""
        if _REPOSITORY.fullmatch(self.function):
            return f"bentofn/{self.function}"
        words = re.findall("[a-z0-9]+", self.function.lower())
        return f"bentofn/{'-'.join([*words, _digest(self.function)])}"

    @property
    def arn(self) -> str:
        """The function."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{self.function}"

    @property
    def alias_arn(self) -> str:
        """Its alias."""
        return f"{self.arn}:{ALIAS}"

    def mapping_arn(self, mapping: str) -> str:
        """ARN of an event source mapping.

        Args:
            mapping: Its UUID.
        """
        return f"{self.arn.partition(':function:')[0]}:event-source-mapping:{mapping}"

    @property
    def log_group_arn(self) -> str:
        """Its log group."""
        return f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:{self.log_group}"

    @property
    def bucket_arn(self) -> str:
        """Its bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def repository_arn(self) -> str:
        """Its repository."""
        place = f"{self.region}:{self.account}"
        return f"arn:{self.partition}:ecr:{place}:repository/{self.repository}"

    def role_arn(self, role: str) -> str:
        """ARN of one of its roles."""
        return f"arn:{self.partition}:iam::{self.account}:role{self.role_path}{role}"

    def layer(self, part: str) -> str:
        """Name of a layer.

        Args:
            part: The part of the package.
        """
        return f"{self.function}-{part}"

    def key(self, digest: str) -> str:
        """Key of an object.

        Args:
            digest: ``sha256:`` and hex, of what is in it.
        """
        return f"{self.prefix}{digest.removeprefix('sha256:')}"


def function_name(spec: FunctionSpec) -> str:
    """A function's name in AWS, the Serverless Framework's: service, stage and name."""
    aws = spec.settings.aws
    if aws.name:
        return aws.name
    return f"{aws.service}-{aws.stage}-{spec.name}" if aws.service else spec.name


def _short(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    return f"{name[: most - 9]}-{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
