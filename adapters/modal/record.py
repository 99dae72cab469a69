"""What is kept on Modal of each deployment: the spec, in the function's volume, by a tag.

Modal keeps a tag with each version of an app and gives back nothing of what a version is made of.
So the tag names a small file in the volume, from any machine, and is all that tells whether
anything differs. Of variables only what tells one value from another is kept.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.manifest import canonical_json

FORMAT = 1
"""Raised when the same spec and bento make another app."""

FOLDER = "deployments"
"""Folder of the records in a function's volume."""

_DIGEST_LENGTH = 43  # of 32 bytes in base64 without padding
_MARK_LENGTH = 6  # Modal's tags have 50 characters at most

_COST = {"n": 1 << 12, "r": 8, "p": 1}


@dataclass(frozen=True)
class Record:
    """A deployment.

    Args:
        spec: What was asked for; of variables it holds fingerprints.
        bento: ``name:version``.
        digest: Digest of the bento.
        routes: Name to path of its endpoints.
        joined: Whether Modal joins its calls.
    """

    spec: FunctionSpec
    bento: str
    digest: str
    routes: Mapping[str, str]
    joined: bool = False

    @property
    def tag(self) -> str:
        """Names it among the app's versions: the bento's digest, and a mark of the rest."""
        digest = _short(bytes.fromhex(self.digest.removeprefix("sha256:")))
        return f"{digest}.{_short(hashlib.sha256(self.to_json()).digest())[:_MARK_LENGTH]}"

    @property
    def path(self) -> str:
        """Where it lies in the volume; says the bento's name, so that a list of them does."""
        name, _, version = self.bento.rpartition("/")[2].partition(":")
        return f"/{FOLDER}/{self.tag}/{name}/{version or 'unpacked'}.json"

    def to_json(self) -> bytes:
        """Canonical JSON, which :meth:`from_json` reads back."""
        return canonical_json({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, data: bytes) -> Record | None:
        """Read one; None where it was written in another format, or by a bentofn that knows more
        fields."""
        raw = json.loads(data)
        if raw.pop("format", None) != FORMAT:
            return None
        try:
            return cls(**{**raw, "spec": FunctionSpec.from_json(raw["spec"])})
        except TypeError:
            return None


def without_values(spec: FunctionSpec, bento: str, values: Mapping[str, str]) -> FunctionSpec:
    """A spec as it is kept.

    Args:
        spec: The function.
        bento: ``name:version``.
        values: All its variables; of them no value is kept.
    """
    marks = {name: fingerprint(spec.name, name, value) for name, value in values.items()}
    settings = dataclasses.replace(spec.settings, environment=marks)
    return dataclasses.replace(spec, bento=bento, settings=settings)


def fingerprint(function: str, name: str, value: str) -> str:
    """Tells a variable's value from others, and takes long enough to be tried with guesses."""
    salt = f"{function}/{name}".encode()
    return hashlib.scrypt(value.encode(), salt=salt, dklen=8, **_COST).hex()


def digest_of_tag(tag: str) -> str:
    """The digest of the bento that a tag names; empty where it is none of ours."""
    text = tag[:_DIGEST_LENGTH]
    if len(tag) != _DIGEST_LENGTH + 1 + _MARK_LENGTH or tag[_DIGEST_LENGTH] != ".":
        return ""
    return f"sha256:{base64.urlsafe_b64decode(text + '=').hex()}"


def bento_of_path(path: str) -> tuple[str, str] | None:
    """The tag and the ``name:version`` of a record's path; None where it is another file's."""
    parts = path.strip("/").split("/")
    if len(parts) != 4 or parts[0] != FOLDER:
        return None
    return parts[1], f"{parts[2]}:{parts[3].removesuffix('.json')}"


def _short(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
