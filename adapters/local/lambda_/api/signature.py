"""Signature Version 4: whether a request was signed with a secret that we know.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = 300.0
"""Seconds that a signature's time may be from ours."""
LONGEST_PRESIGNED = 604_800
_LIFETIME = re.compile(r"[1-9][0-9]{0,5}")
_ALWAYS_SIGNED = "x-amz-"
"""What the names of headers begin with that have to be signed where they are sent."""

_AUTHORIZATION = re.compile(
    ALGORITHM + r"\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)
_SERVICE = "lambda"


class Unsigned(Exception):  # noqa: N818 - an answer to a caller
    """A request may not be taken.

    Args:
        type: The error's name, such as ``InvalidSignatureException``.
        message: What is wrong.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
        self.message = message


@dataclass(frozen=True)
class Signable:
    """What of a request is signed.

    Args:
        method: The HTTP method.
        path: The whole path, as it came.
        query: The query string, as it came.
        headers: Lower-case name to value; several values of a name joined by commas.
        body: The body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Claim:
    """What a request says of its signature."""

    credential: str
    signed: str
    signature: str
    moment: str
    query: str
    lifetime: float


def verify(request: Signable, secrets: Mapping[str, str], now: float) -> str:
    """Check a request's signature, in its headers or its query.

    Args:
        request: The request.
        secrets: Access key to secret.
        now: Seconds since the epoch.

    Returns:
        The access key.

    Raises:
        Unsigned: It is not signed, too old, or signed with another secret.
    """
    claim = _claim(request)
    access_key, _, scope = claim.credential.partition("/")
    secret = secrets.get(access_key)
    if secret is None:
        text = "The security token included in the request is invalid."
        raise Unsigned("UnrecognizedClientException", text)
    _check_scope(scope, claim.moment)
    _check_time(claim, now)
    names = claim.signed.split(";")
    if "host" not in names or any(name not in request.headers for name in names):
        raise Unsigned("IncompleteSignatureException", "A signed header is not in the request.")
    unsigned = [n for n in request.headers if n.startswith(_ALWAYS_SIGNED) and n not in names]
    if unsigned:
        text = f"There were headers present in the request which were not signed: {unsigned[0]}"
        raise Unsigned("InvalidSignatureException", text)
    hashed = "\n".join(
        (
            request.method,
            quote(request.path or "/", safe="/~", errors="surrogateescape"),
            claim.query,
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            claim.signed,
            _payload_hash(request),
        )
    )
    digest = hashlib.sha256(_bytes(hashed)).hexdigest()
    text = "\n".join((ALGORITHM, claim.moment, scope, digest))
    expected = hmac.new(_key(secret, scope), _bytes(text), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), _bytes(claim.signature)):
        raise Unsigned(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method. Consult the service documentation for "
            "details.",
        )
    return access_key


def _claim(request: Signable) -> _Claim:
    pairs = [pair for pair in request.query.split("&") if pair]
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    if given.get("X-Amz-Algorithm") == ALGORITHM:
        others = [pair for pair in pairs if not pair.startswith("X-Amz-Signature=")]
        return _Claim(
            given.get("X-Amz-Credential", ""),
            given.get("X-Amz-SignedHeaders", ""),
            given.get("X-Amz-Signature", ""),
            given.get("X-Amz-Date", ""),
            _canonical_query(others),
            _lifetime(given.get("X-Amz-Expires", "")),
        )
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", "").strip())
    if found is None:
        raise Unsigned("AccessDeniedException", "Forbidden")
    moment = request.headers.get("x-amz-date", "")
    return _Claim(found[1], found[2], found[3], moment, _canonical_query(pairs), SKEW)


def _canonical_query(pairs: list[str]) -> str:
    split = [(name, value) for name, _, value in (pair.partition("=") for pair in pairs)]
    return "&".join(f"{name}={value}" for name, value in sorted(split))


def _lifetime(expires: str) -> float:
    if not _LIFETIME.fullmatch(expires) or int(expires) > LONGEST_PRESIGNED:
        raise Unsigned("AccessDeniedException", "X-Amz-Expires must be 1 to 604800.")
    return float(expires)


def _check_scope(scope: str, moment: str) -> None:
    parts = scope.split("/")
    if len(parts) != 4 or parts[2] != _SERVICE or parts[3] != "aws4_request":
        text = f"Credential should be scoped to correct service: '{_SERVICE}'."
        raise Unsigned("InvalidSignatureException", text)
    if parts[0] != moment[:8]:
        text = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."
        raise Unsigned("InvalidSignatureException", text)


def _check_time(claim: _Claim, now: float) -> None:
    try:
        signed = datetime.strptime(claim.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        text = "The request has no X-Amz-Date."
        raise Unsigned("IncompleteSignatureException", text) from None
    age = now - signed.timestamp()
    if age > claim.lifetime:
        moment = datetime.fromtimestamp(now, timezone.utc)
        text = f"Signature expired: {claim.moment} is now earlier than {moment:%Y%m%dT%H%M%SZ}."
        raise Unsigned("InvalidSignatureException", text)
    if age < -SKEW:
        text = f"Signature not yet current: {claim.moment} is still later than our time."
        raise Unsigned("InvalidSignatureException", text)


def _payload_hash(request: Signable) -> str:
    digest = hashlib.sha256(request.body).hexdigest()
    said = request.headers.get("x-amz-content-sha256", digest)
    if said != digest:
        text = "The provided x-amz-content-sha256 header does not match what was computed."
        raise Unsigned("InvalidSignatureException", text)
    return digest


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, _bytes(part), hashlib.sha256).digest()
    return key


def _bytes(text: str) -> bytes:
    """A text of a header's or an address's as it came."""
    return text.encode(errors="surrogateescape")
