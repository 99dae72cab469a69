"""What refers to a manifest in a registry: listed, sent and fetched.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers and
#referrers-tag-schema, for registries that have no such list.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bentofn.packager.arrival import MAX_MANIFEST
from bentofn.packager.arriving_referrers import (
    MAX_REFERRERS,
    ArrivingReferrer,
    check_total,
    read_arriving_referrer,
)
from bentofn.packager.registry.blobs import fetch_manifest, send_manifest
from bentofn.packager.registry.connection import Dropped
from bentofn.packager.registry.transport import ATTEMPTS, Transport
from bentofn.packager.store.blobs import digest_of
from bentofn.packager.store.descriptors import INDEX, MANIFEST, check_digest
from bentofn.packager.store.referrers import Referrer
from bentofn.runtime.errors import UserError

MAX_PAGES = 16
"""Pages of a list of referrers that are read."""

_NO_LIST = (400, 404, 405, 406, 501)
"""What registries answer that do not know how to list referrers."""

_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')

Raw = dict[str, Any]


def list_referrers(transport: Transport, subject: str, source: str) -> list[Raw]:
    """The descriptors of the manifests that refer to one.

    Args:
        transport: The repository.
        subject: Digest of the manifest that they refer to.
        source: Its name, for messages.

    Raises:
        UserError: The registry refuses or fails, or its list is malformed or too long.
    """
    listed = _from_api(transport, subject, source)
    return _fallback(transport, subject, source).manifests if listed is None else listed


def fetch_referrers(transport: Transport, subject: str, source: str) -> list[ArrivingReferrer]:
    """Fetch the manifests that refer to one; their blobs are still to be fetched.

    Raises:
        UserError: The registry refuses or fails, or gives what is none, or too much.
    """
    arriving: list[ArrivingReferrer] = []
    for raw in list_referrers(transport, subject, source):
        if raw.get("mediaType") != MANIFEST:
            continue  # an index, which other tools may put there
        digest = check_digest(str(raw.get("digest")))
        data = fetch_manifest(transport, digest, source)
        if digest_of(data) != digest:
            raise UserError(
                f"{source} gave other bytes than {digest} says; nothing of them was kept."
            )
        arriving.append(read_arriving_referrer(data, subject, source))
        check_total(arriving, source)
    return arriving


def send_referrer_manifest(transport: Transport, referrer: Referrer, data: bytes) -> bool:
    """Send the manifest of a referrer whose blobs are there.

    Returns:
        Whether the registry lists it now without further ado.

    Raises:
        UserError: The registry refuses or fails.
    """
    headers = send_manifest(transport, referrer.manifest.digest, data)
    return bool(headers.get("OCI-Subject"))


def add_to_fallback(
    transport: Transport, subject: str, added: Sequence[Referrer], source: str
) -> None:
    """List referrers under the tag ``sha256-<hex>`` of a registry that has no list of them.

    Others may write the tag at the same time: it is written only over what was read where the
    registry can tell, and read again afterwards.

    Raises:
        UserError: The registry refuses or fails, or others are always faster.
    """
    for _ in range(ATTEMPTS):
        found = _fallback(transport, subject, source)
        known = {str(raw.get("digest")) for raw in found.manifests}
        missing = [each for each in added if each.manifest.digest not in known]
        if not missing:
            return
        manifests = [*found.manifests, *(_descriptor(each) for each in missing)]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        condition = {"If-Match": found.etag} if found.etag else {}
        data = json.dumps(index, separators=(",", ":")).encode()
        send_manifest(transport, _tag(subject), data, INDEX, condition)
    raise UserError(
        f"Others changed what refers to {source} {ATTEMPTS} times meanwhile; push it again."
    )


@dataclass(frozen=True)
class _Fallback:
    manifests: list[Raw]
    etag: str = ""


def _descriptor(referrer: Referrer) -> Raw:
    # With the manifest's annotations, as the distribution specification wants it of a list.
    raw: Raw = dict(referrer.to_json())
    return {**raw, "annotations": dict(referrer.annotations)} if referrer.annotations else raw


def _tag(subject: str) -> str:
    return subject.replace(":", "-")


def _from_api(transport: Transport, subject: str, source: str) -> list[Raw] | None:
    base = transport.url(f"referrers/{subject}")
    url, found = base, list[Raw]()
    for _ in range(MAX_PAGES):
        page = _get(transport, url, _NO_LIST)
        if page is None or page.media_type != INDEX:
            return None
        found += _manifests(page.data, source)
        following = _NEXT.search(page.link)
        if following is None:
            return found
        url = urllib.parse.urljoin(url, following[1])
        if url.partition("?")[0] != base:
            break
    raise _malformed(source)


def _fallback(transport: Transport, subject: str, source: str) -> _Fallback:
    page = _get(transport, transport.url(f"manifests/{_tag(subject)}"), (404,))
    return _Fallback([]) if page is None else _Fallback(_manifests(page.data, source), page.etag)


@dataclass(frozen=True)
class _Page:
    data: bytes
    media_type: str
    link: str
    etag: str


def _get(transport: Transport, url: str, absent: tuple[int, ...]) -> _Page | None:
    attempt = 0
    while True:
        attempt += 1
        try:
            with transport.request(
                "GET", url, headers={"Accept": INDEX}, good=(200, *absent)
            ) as response:
                if response.status != 200:
                    return None
                data = response.read(MAX_MANIFEST + 1)
                headers = response.headers
                length = headers.get("Content-Length", "")
                if length.isdecimal() and len(data) < min(int(length), MAX_MANIFEST):
                    raise Dropped("the connection ended early")
        except Dropped as error:
            transport.retrying(attempt, str(error))
            continue
        return _Page(
            data,
            headers.get("Content-Type", "").partition(";")[0].strip(),
            headers.get("Link", ""),
            headers.get("ETag", ""),
        )


def _manifests(data: bytes, source: str) -> list[Raw]:
    try:
        manifests = json.loads(data)["manifests"]
        if len(data) > MAX_MANIFEST or not all(isinstance(raw, dict) for raw in manifests):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _malformed(source) from error
    if len(manifests) > 16 * MAX_REFERRERS:
        raise _malformed(source)
    return list(manifests)


def _malformed(source: str) -> UserError:
    return UserError(
        f"The list of what refers to {source} is malformed or too long; "
        "have the registry's owner mend it."
    )
