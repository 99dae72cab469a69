"""A safetensors file in S3, read in ranges."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, header_end, read_header_from
from bentofn.runtime.weights.sources.base import changed

_ATTEMPTS = 5
_FIRST_READ = 1 << 18


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
        parts = urlsplit(url)
        self._object = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
        self._client = _client()
        first = self._get(f"bytes=0-{_FIRST_READ - 1}")
        self._object["IfMatch"] = first["ETag"]
        size = int(first["ContentRange"].rpartition("/")[2])
        start = bytearray(first["Body"].read())
        more = header_end(start, size) - len(start)
        if more > 0:
            rest = bytearray(more)
            self.read(len(start), memoryview(rest))
            start += rest
        self._header = read_header_from(io.BytesIO(start), url, size)

    @property
    def header(self) -> SafetensorsHeader:
        return self._header

    def read(self, offset: int, target: memoryview, room: memoryview | None = None) -> None:
        """As :meth:`Source.read`."""
        from botocore.exceptions import HTTPClientError, ResponseStreamingError
        from urllib3.exceptions import HTTPError

        failures = 0
        while target:
            body = self._get(f"bytes={offset}-{offset + len(target) - 1}")["Body"]
            try:
                while target:
                    count = body.readinto(target)
                    if not count:
                        raise ResponseStreamingError(error="the connection was closed")
                    target, offset, failures = target[count:], offset + count, 0
            except (OSError, HTTPError, HTTPClientError) as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise UserError(f"Cannot read {self.name}: {error}.") from error
            finally:
                body.close()

    def check(self) -> None:
        """As :meth:`Source.check`: each range was of the object that was opened."""

    def close(self) -> None:
        """As :meth:`Source.close`."""
        self._client.close()

    def _get(self, part: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._client.get_object(**self._object, Range=part)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("PreconditionFailed", "412", "InvalidRange") and "IfMatch" in self._object:
                raise changed(self.name) from error
            raise UserError(f"Cannot read {self.name}: {error}.") from error
        except BotoCoreError as error:
            raise UserError(f"Cannot read {self.name}: {error}.") from error


def _client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError as error:
        raise UserError(
            "Weights in S3 need boto3, which is not installed: `pip install bentofn[aws]`."
        ) from error
    retries = {"max_attempts": _ATTEMPTS, "mode": "standard"}
    return boto3.client("s3", config=Config(max_pool_connections=32, retries=retries))
