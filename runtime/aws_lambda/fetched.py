"""Fetches into /tmp, from S3, what the function's layers have no room for.

It is done while the function is initialised, before SnapStart takes its snapshot, which keeps /tmp.
Without SnapStart every start would wait for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

PLACE = "/tmp/bento"
LIST = "fetched.json"
"""Beside ``bento.json``: path below ``/opt``, digest and bytes of each file."""

SOURCE = "BENTOFN_FETCH"
"""Variable that says where the files are: ``s3://BUCKET/PREFIX``; each is an object named by its
digest's hex, compressed with zlib."""

_CHUNK = 1 << 20
_AT_ONCE = 4


def fetch(function: str) -> None:
    """Fetch what a function's list names; what is there already stays.

    Args:
        function: Where its code is.

    Raises:
        UserError: Nothing says where the files are, or one is not what the list says.
    """
    source = os.environ.get(SOURCE, "")
    if not source.startswith("s3://"):
        raise UserError(f"{SOURCE} does not say where the rest of this function is (s3://...).")
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    wanted = json.loads(Path(function, LIST).read_text())

    import boto3  # Lambda's own

    client = boto3.client("s3")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = [
            pool.submit(_fetch, client, bucket, f"{prefix.rstrip('/')}/{each['digest'][7:]}", each)
            for each in wanted
        ]
        for task in tasks:
            task.result()


def _fetch(client: Any, bucket: str, key: str, wanted: dict[str, Any]) -> None:
    target = Path(PLACE, wanted["path"])
    if target.is_file() and target.stat().st_size == wanted["size"]:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    body = client.get_object(Bucket=bucket, Key=key.lstrip("/"))["Body"]
    hashed, unpacker = hashlib.sha256(), zlib.decompressobj()
    damaged = UserError(f"s3://{bucket}/{key} is damaged; deploy the function again.")
    with part.open("wb") as file:
        for chunk in body.iter_chunks(_CHUNK):
            hashed.update(chunk)
            try:
                file.write(unpacker.decompress(chunk))
            except zlib.error:
                raise damaged from None
        file.write(unpacker.flush())
    if f"sha256:{hashed.hexdigest()}" != wanted["digest"]:
        raise damaged
    part.chmod(0o755)
    part.replace(target)
