"""Blobs and manifests of one repository: asked for, sent, and fetched so that a break costs little.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Iterator, Mapping
from email.message import Message
from types import MappingProxyType

from bentofn.packager.arrival import MAX_MANIFEST
from bentofn.packager.files import CHUNK
from bentofn.packager.registry.connection import Dropped, Response
from bentofn.packager.registry.download import other_bytes
from bentofn.packager.registry.transport import Body, Transport
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.blobs import digest_of
from bentofn.packager.store.descriptors import MANIFEST
from bentofn.runtime.errors import UserError

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def has_blob(transport: Transport, digest: str) -> bool:
    """Whether the repository has a blob.

    Raises:
        UserError: The registry refuses or fails.
    """
    with transport.request("HEAD", transport.url(f"blobs/{digest}"), good=(200, 404)) as response:
        return response.status == 200


def send_blob(transport: Transport, store: Store, blob: Descriptor) -> None:
    """Send a blob, streamed from the store.

    Raises:
        UserError: The registry refuses or fails, or the blob is damaged.
    """
    path = store.blob_path(blob.digest)

    def body() -> Iterator[bytes]:
        hashed, sent = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                sent += len(chunk)
                # The last bytes wait for the digest, so that a damaged blob never arrives whole.
                if sent >= blob.size and f"sha256:{hashed.hexdigest()}" != blob.digest:
                    raise _damaged(store, blob)
                yield chunk
        if sent != blob.size:
            raise _damaged(store, blob)

    if not store.blobs.has_whole(blob.digest, blob.size):
        raise _damaged(store, blob)
    send_chunks(transport, blob, body)


def send_chunks(transport: Transport, blob: Descriptor, body: Body) -> None:
    """Send a blob.

    Args:
        transport: The repository.
        blob: What it is.
        body: Gives its bytes, anew for each attempt.

    Raises:
        UserError: The registry refuses or fails.
    """
    attempt = 0
    while True:
        attempt += 1
        with transport.request("POST", transport.url("blobs/uploads/"), good=(202,)) as response:
            session = urllib.parse.urljoin(response.url, response.headers.get("Location", ""))
        joint = "&" if urllib.parse.urlsplit(session).query else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        url = f"{session}{joint}{urllib.parse.urlencode({'digest': blob.digest})}"
        # A session may be gone after a break, which is 404; then a new one is begun.
        with transport.request(
            "PUT", url, headers=headers, body=body, good=(200, 201, 204, 404)
        ) as response:
            if response.status != 404:
                return
        transport.retrying(attempt, "the upload was forgotten")


def mount_blob(transport: Transport, digest: str, repository: str) -> bool:
    """Ask the registry to take a blob from another of its repositories; False if it does not.

    Raises:
        UserError: The registry fails.
    """
    query = urllib.parse.urlencode({"mount": digest, "from": repository})
    url = transport.url(f"blobs/uploads/?{query}")
    with transport.request("POST", url, good=(201, 202, 401, 403, 404, 405)) as response:
        return response.status == 201


def send_manifest(
    transport: Transport,
    tag: str,
    data: bytes,
    media_type: str = MANIFEST,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Message:
    """Give a tag to a manifest whose blobs are all there.

    Args:
        transport: The repository.
        tag: The tag, or the manifest's own digest.
        data: The manifest.
        media_type: What it is.
        headers: Further headers; ``If-Match`` makes 412 an answer.

    Returns:
        The headers of the answer.

    Raises:
        UserError: The registry refuses or fails.
    """
    sent = {"Content-Type": media_type, "Content-Length": str(len(data)), **headers}
    good = (200, 201, 412) if "If-Match" in headers else (200, 201)
    url = transport.url(f"manifests/{tag}")
    with transport.request("PUT", url, headers=sent, body=lambda: [data], good=good) as response:
        return response.headers


def fetch_manifest(transport: Transport, tag: str, source: str, *, accept: str = MANIFEST) -> bytes:
    """Fetch the manifest of a tag.

    Args:
        transport: The repository.
        tag: The tag, or a digest.
        source: Where it is, for messages.
        accept: The media types that are understood, as HTTP lists them.

    Raises:
        UserError: The registry refuses or fails, it is too large, or its bytes are others than the
            registry says.
    """
    attempt = 0
    while True:
        attempt += 1
        url = transport.url(f"manifests/{tag}")
        try:
            with transport.request("GET", url, headers={"Accept": accept}) as response:
                data = response.read(MAX_MANIFEST + 1)
                _check_length(response, len(data))
                said = response.headers.get("Docker-Content-Digest", "")
        except Dropped as error:
            transport.retrying(attempt, str(error))
            continue
        if len(data) > MAX_MANIFEST:
            raise UserError(f"{source} has a manifest larger than registries take; do not use it.")
        if said.startswith("sha256:") and said != digest_of(data):
            raise other_bytes(source, said)
        return data


def _check_length(response: Response, received: int) -> None:
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and received < min(int(length), MAX_MANIFEST):
        raise Dropped("the connection ended early")


def _damaged(store: Store, blob: Descriptor) -> UserError:
    return UserError(
        f"The blob {blob.digest} is damaged or missing in {store.path}; "
        "build or pull the bento again to write it anew."
    )
