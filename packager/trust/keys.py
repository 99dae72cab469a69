"""A user's keys, in PEM files: Ed25519, or ECDSA on the curve P-256."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

PASSWORD_VARIABLE = "BENTOFN_SIGN_PASSWORD"
MAX_KEY = 1 << 16
"""Bytes of a PEM file that is read."""

CURVE = "secp256r1"

_KINDS = "an Ed25519 key, or an ECDSA key on P-256"
_HOW = "openssl genpkey -algorithm ed25519 -out key.pem"


@dataclass(frozen=True)
class VerifyKey:
    """A public key.

    Args:
        kind: ``Ed25519`` or ``ECDSA P-256``.
        der: Its SubjectPublicKeyInfo.
    """

    kind: str
    der: bytes = field(repr=False)
    _key: PublicKey = field(repr=False, compare=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of its SubjectPublicKeyInfo, by which it is told from others."""
        return hashlib.sha256(self.der).digest()

    @property
    def hint(self) -> str:
        """How a sigstore bundle names it."""
        return base64.b64encode(self.digest).decode()

    def __str__(self) -> str:
        return f"{self.kind} key sha256:{self.digest.hex()}"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether a signature over data is this key's."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """A private key; it is never printed.

    Args:
        public: Its public half.
    """

    public: VerifyKey
    _key: PrivateKey = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """Sign data: 64 bytes of Ed25519, or ECDSA with SHA-256 in DER.

        The same data gives the same signature (RFC 6979, where the OpenSSL below can do it).
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        try:
            return self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:
            return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def load_signer(path: Path, password: Callable[[], str]) -> Signer:
    """Read a private key.

    Args:
        path: A PEM file (PKCS #8, or OpenSSL's own form of EC keys).
        password: Asked for the passphrase of an encrypted one.

    Raises:
        UserError: It cannot be read, is no private key of a known kind, or the passphrase is wrong.
    """
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    try:
        try:
            key = load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            key = load_pem_private_key(data, password().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: its text may say something of the key.
        raise UserError(
            f"{path} is no private key in PEM, or its passphrase is another; "
            f"give {_KINDS}, such as one made with: {_HOW}."
        ) from None
    if not isinstance(key, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)):
        raise _other_kind(path)
    return Signer(_public(path, key.public_key()), key)


def load_verify_key(path: Path) -> VerifyKey:
    """Read a public key from a PEM file.

    Raises:
        UserError: It cannot be read, or is no public key of a known kind.
    """
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        private = b"PRIVATE KEY-----" in data
        what = "a private key; keep it to yourself" if private else "no public key in PEM"
        raise UserError(
            f"{path} is {what}; the public one is made with: "
            "openssl pkey -in key.pem -pubout -out key.pub.pem."
        ) from None
    if not isinstance(key, (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey)):
        raise _other_kind(path)
    return _public(path, key)


def _public(path: Path, key: PublicKey) -> VerifyKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name != CURVE:
        raise _other_kind(path)
    kind = "ECDSA P-256" if isinstance(key, ec.EllipticCurvePublicKey) else "Ed25519"
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerifyKey(kind, der, key)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY)
    except OSError as error:
        raise UserError(
            f"The key {path} cannot be read; check the path and its permissions."
        ) from error


def _other_kind(path: Path) -> UserError:
    return UserError(f"{path} holds a key of another kind; give {_KINDS} ({_HOW}).")


def _require() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise UserError(
            "Signatures need the package cryptography; install it with: "
            "pip install 'bentofn[trust]'."
        ) from error
