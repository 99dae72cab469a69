"""Signed statements as cosign 3 stores them: in-toto in a DSSE envelope in a sigstore bundle.

https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md,
https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md,
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentofn.packager.trust.keys import Signer, VerifyKey
from bentofn.packager.trust.kinds import BUNDLE, IN_TOTO
from bentofn.runtime.manifest import canonical_json

STATEMENT = "https://in-toto.io/Statement/v1"
SIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a signature that says no more than: this is mine."""

MAX_BUNDLE = 1 << 20
"""Bytes of a bundle that is read."""

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Subject:
    """What a statement is about.

    Args:
        name: What its maker calls it.
        digest: ``sha256:`` and 64 hex digits.
    """

    name: str
    digest: str


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read; nothing of it is proved yet.

    Args:
        hint: Names the key that its maker says to have used.
        payload: The statement's bytes.
        signatures: Over them.
    """

    hint: str
    payload: bytes
    signatures: tuple[bytes, ...]

    def is_by(self, key: VerifyKey) -> bool:
        """Whether a key signed it."""
        signed = _encoded(self.payload)
        return any(key.verifies(signature, signed) for signature in self.signatures)


def statement(
    subjects: Sequence[Subject], predicate_type: str, predicate: Mapping[str, Any]
) -> bytes:
    """An in-toto statement, in canonical JSON."""
    return canonical_json(
        {
            "_type": STATEMENT,
            "subject": [
                {"name": each.name, "digest": {"sha256": each.digest.removeprefix("sha256:")}}
                for each in subjects
            ],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def make_bundle(payload: bytes, signer: Signer) -> bytes:
    """Sign a statement, and wrap it."""
    signature = signer.sign(_encoded(payload))
    return canonical_json(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "publicKey": {"hint": signer.public.hint},
                "tlogEntries": [],  # a log is not asked; some readers want the key
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": base64.b64encode(signature).decode()}],
            },
        }
    )


def read_bundle(data: bytes) -> Bundle | None:
    """Read a bundle that may come from anyone; None for one that holds no signed statement."""
    try:
        raw = json.loads(data)
        envelope = raw["dsseEnvelope"]
        if raw["mediaType"] != BUNDLE or envelope["payloadType"] != IN_TOTO:
            return None
        return Bundle(
            hint=str(raw["verificationMaterial"]["publicKey"]["hint"]),
            payload=base64.b64decode(envelope["payload"], validate=True),
            signatures=tuple(
                base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def signed_subjects(payload: bytes) -> list[Subject]:
    """What a proved statement signs; nothing for a statement that says something else."""
    try:
        raw = json.loads(payload)
        if raw["_type"] != STATEMENT or raw["predicateType"] != SIGN:
            return []
        return [
            Subject(str(each.get("name", "")), f"sha256:{each['digest']['sha256']}")
            for each in raw["subject"]
            if _HEX.fullmatch(each["digest"]["sha256"])
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, which is what is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
