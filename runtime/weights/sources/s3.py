"""A safetensors file in S3, read in ranges.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

import io
from typing import Any

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, header_end, read_header_from
from bentofn.runtime.weights.sources.attempts import Attempts
from bentofn.runtime.weights.sources.base import changed

_ATTEMPTS = 5
_FIRST_READ = 1 << 18
_CONNECTIONS = 32
_TIMEOUT = 30.0


class S3Source:
    """An object, read with the credentials that boto3 finds.

    Args:
        url: ``s3://BUCKET/KEY``.

    Raises:
        UserError: There is no such object, boto3 is not installed, or it is no whole safetensors
            file.
    """

    def __init__(self, url: str) -> None:
        self.name = url
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self._object = {"Bucket": bucket, "Key": key}
        self._validator: tuple[Any, str] | None = None
        self._client = _client(url)
        try:
            start = self._begin()
            got = len(start)
            more = header_end(start, self.size) - got
            if more > 0:
                start += bytes(more)
                self.read(got, memoryview(start)[got:])
            self._header = read_header_from(io.BytesIO(start), url, self.size)
        except BaseException:
            self.close()
            raise

    @property
    def header(self) -> SafetensorsHeader:
        return self._header

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return int(self._validator[1]) if self._validator else 0

    def read(self, offset: int, target: memoryview, room: memoryview | None = None) -> None:
        """As :meth:`Source.read`."""
        attempts = Attempts(self.name)
        while target:
            got, body = 0, self._body(offset, len(target))
            try:
                while target and (count := body.readinto(target)):
                    target, offset, got = target[count:], offset + count, got + count
                if target:
                    raise ConnectionError("the connection was closed")
            except _broken() as error:
                attempts.failed(error, got)
            finally:
                body.close()

    def check(self) -> None:
        """As :meth:`Source.check`: each range was of the object that was opened."""

    def close(self) -> None:
        """As :meth:`Source.close`."""
        self._client.close()

    def _begin(self) -> bytearray:
        """The first bytes."""
        attempts = Attempts(self.name)
        while True:
            body = self._body(0, _FIRST_READ)
            try:
                return bytearray(body.read(_FIRST_READ))
            except _broken() as error:
                attempts.failed(error)
            finally:
                body.close()

    def _body(self, offset: int, length: int) -> Any:
        """A range of the object, if it is the one that was opened."""
        from botocore.exceptions import BotoCoreError, ClientError

        wanted = dict(self._object)
        if self._validator and self._validator[0]:
            wanted["IfMatch"] = self._validator[0]
        try:
            found = self._client.get_object(**wanted, Range=f"bytes={offset}-{offset + length - 1}")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("PreconditionFailed", "412", "InvalidRange", "416") and self._validator:
                raise changed(self.name) from error
            raise _failed(self.name, error) from error
        except (BotoCoreError, OSError) as error:
            raise _failed(self.name, error) from error
        part, _, size = found.get("ContentRange", "").rpartition("/")
        is_part = part.startswith(f"bytes {offset}-") and size.isdigit()
        validator = found.get("ETag"), size
        if not is_part and self._validator is None:
            found["Body"].close()
            raise UserError(f"{self.name} cannot be read in ranges; download it first.")
        if not is_part or validator != (self._validator or validator):
            found["Body"].close()
            raise changed(self.name)
        self._validator = validator
        return found["Body"]


def _failed(name: str, error: Exception) -> UserError:
    why = " ".join(str(error).split())
    return UserError(f"Cannot read {name}: {why.rstrip('.')}.")


def _broken() -> tuple[type[Exception], ...]:
    """What a connection that breaks raises."""
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    return OSError, HTTPError, BotoCoreError


def _client(url: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError as error:
        raise UserError(
            "Weights in S3 need boto3, which is not installed: `pip install bentofn[aws]`."
        ) from error
    retries = {"max_attempts": _ATTEMPTS, "mode": "standard"}
    config = Config(max_pool_connections=_CONNECTIONS, retries=retries, read_timeout=_TIMEOUT)
    try:
        return boto3.client("s3", config=config)
    except (BotoCoreError, ValueError) as error:  # a profile or an endpoint that is none
        raise _failed(url, error) from error
