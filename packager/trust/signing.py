"""Signs bentos, and proves who signed one.

A signature covers the digest of the bento's manifest, which names every layer and the config by
digest, and the digests of the SBOM, the provenance and whatever else refers to the bento.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bentofn.packager.arriving_referrers import Check, Read
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.packager.store.descriptors import TITLE
from bentofn.packager.store.manifests import named, read_blob
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    referrers,
    remove_referrer,
    subject_descriptor,
)
from bentofn.packager.trust.bundle import (
    MAX_BUNDLE,
    SIGN,
    Bundle,
    Subject,
    make_bundle,
    read_bundle,
    signed_subjects,
    statement,
)
from bentofn.packager.trust.keys import Signer, VerifyKey
from bentofn.packager.trust.kinds import BUNDLE
from bentofn.runtime.errors import UserError


@dataclass(frozen=True)
class Signed:
    """A signature of a bento.

    Args:
        referrer: The artifact that holds it.
        key: Whose it is.
        covered: Digests of the manifests that it covers, the bento's among them.
    """

    referrer: Referrer
    key: VerifyKey
    covered: frozenset[str]


@dataclass(frozen=True)
class Verified:
    """A bento that is as it was when it was signed.

    Args:
        entry: The bento.
        key: Who signed it.
        covered: Types of the artifacts that refer to it and that the signature covers.
        uncovered: Types of those that it does not.
        blobs: How many blobs were read and are as their digests say.
        size: Their bytes.
    """

    entry: Entry
    key: VerifyKey
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    blobs: int
    size: int


def sign(store: Store, entry: Entry, signer: Signer) -> Signed:
    """Sign a bento and what refers to it; a signature of the same key and of the same is kept.

    Raises:
        UserError: The store is damaged or cannot be written.
    """
    with store.using():
        about = referrers(store, entry.digest)
        own = _signatures_by(signer.public, about, lambda blob: _content(store, blob))
        others = [each for each in about if each.artifact_type != BUNDLE]
        subjects = [
            Subject(entry.tag, entry.digest),
            *(Subject(each.artifact_type, each.manifest.digest) for each in others),
        ]
        wanted = frozenset(subject.digest for subject in subjects)
        for signed in own:
            if signed.covered == wanted:
                return signed
        data = make_bundle(statement(subjects, SIGN, {}), signer)
        blob = store.put_bytes(data, BUNDLE)
        title = f"{blob.digest.replace(':', '-')}.sigstore.json"
        layer = Descriptor(BUNDLE, blob.digest, blob.size, {TITLE: title})
        annotations = {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": SIGN,
        }
        made = put_referrer(store, subject_descriptor(entry), BUNDLE, [layer], annotations)
        for signed in own:
            remove_referrer(store, signed.referrer.manifest.digest)
    return Signed(made, signer.public, wanted)


def verify(store: Store, entry: Entry, key: VerifyKey) -> Verified:
    """Prove that a key signed a bento, and read every byte of it.

    Raises:
        UserError: It is not signed, not with this key, or a blob is damaged.
    """
    with store.using():
        about = referrers(store, entry.digest)
        signed = find_signature(
            subject_descriptor(entry), about, lambda b: _content(store, b), key, entry.tag
        )
        blobs = [
            subject_descriptor(entry),
            *named(store.manifest(entry)),
            *(layer for each in about for layer in (each.manifest, *each.layers)),
        ]
        unique = {blob.digest: blob for blob in blobs}
        for blob in unique.values():
            _check_blob(store, entry, blob)
    others = [each for each in about if each.artifact_type != BUNDLE]
    return Verified(
        entry=entry,
        key=key,
        covered=_types(each for each in others if each.manifest.digest in signed.covered),
        uncovered=_types(each for each in others if each.manifest.digest not in signed.covered),
        blobs=len(unique),
        size=sum(blob.size for blob in unique.values()),
    )


def unsigned(store: Store, entry: Entry, about: Sequence[Referrer]) -> bool:
    """Whether a bento is signed, and one of these that refer to it is in none of its signatures."""
    bundles = (
        _bundle(each, lambda blob: _content(store, blob))
        for each in referrers(store, entry.digest, BUNDLE)
    )
    signed = [signed_subjects(bundle.payload) for bundle in bundles if bundle is not None]
    covered = {subject.digest for subjects in signed for subject in subjects}
    return bool(signed) and any(each.manifest.digest not in covered for each in about)


def requiring(key: VerifyKey | None, source: str) -> Check | None:
    """Refuses an arriving bento that a key did not sign; without a key nothing is refused.

    What refers to the bento and is not signed with it stays away too: pages that a prefetch list
    brings are run before the layers are there to compare them with.
    """
    if key is None:
        return None

    def check(manifest: Descriptor, about: Sequence[Referrer], read: Read) -> frozenset[str]:
        covered = find_signature(manifest, about, read, key, source).covered
        return covered | {each.manifest.digest for each in about if each.artifact_type == BUNDLE}

    return check


def find_signature(
    manifest: Descriptor, about: Sequence[Referrer], read: Read, key: VerifyKey, name: str
) -> Signed:
    """The signature of a bento by a key; of several, that which covers most.

    Args:
        manifest: The bento's manifest.
        about: What refers to it.
        read: Gives the content of a blob.
        key: Whose signature.
        name: What the bento is called, for messages.

    Raises:
        UserError: There is none, or it does not prove what it should.
    """
    found = _signatures_by(key, about, read)
    good = [signed for signed in found if manifest.digest in signed.covered]
    if good:
        here = {each.manifest.digest for each in about}
        return max(good, key=lambda signed: len(signed.covered & here))
    bundles = [each for each in about if each.artifact_type == BUNDLE]
    if not bundles:
        raise UserError(
            f"{name} is not signed; have its maker sign it with: bentofn sign TAG --key KEY.pem."
        )
    if found:
        raise UserError(
            f"{name} carries a signature by the {key} that is for another bento; do not use it."
        )
    hints = {bundle.hint for each in bundles if (bundle := _bundle(each, read)) is not None}
    if key.hint in hints:
        raise UserError(
            f"{name} carries a signature that claims to be by the {key} and is not: "
            "it is damaged or forged; do not use the bento."
        )
    raise UserError(
        f"{name} is signed, but not with the {key}; check which key its maker uses, "
        "and do not use the bento if it should be this one."
    )


def _content(store: Store, blob: Descriptor) -> bytes:
    """The content of a small blob of the store, checked."""
    return read_blob(store.blobs, blob.digest, "a signature")


def _signatures_by(key: VerifyKey, about: Sequence[Referrer], read: Read) -> list[Signed]:
    found = []
    for each in about:
        bundle = _bundle(each, read)
        if bundle is not None and bundle.is_by(key):
            covered = frozenset(subject.digest for subject in signed_subjects(bundle.payload))
            if covered:
                found.append(Signed(each, key, covered))
    return found


def _bundle(referrer: Referrer, read: Read) -> Bundle | None:
    if referrer.artifact_type != BUNDLE or referrer.layers[0].size > MAX_BUNDLE:
        return None
    return read_bundle(read(referrer.layers[0]))


def _check_blob(store: Store, entry: Entry, blob: Descriptor) -> None:
    try:
        with store.blob_path(blob.digest).open("rb") as file:
            whole = hash_stream(file) == (blob.digest, blob.size)
    except FileNotFoundError:
        whole = False
    if not whole:
        # Or the next pull or build would take it for the blob, and never mend it.
        store.blobs.remove(blob.digest)
        raise UserError(
            f"The blob {blob.digest} of {entry.tag} is damaged or missing in {store.path}; "
            "build or pull the bento again to write it anew."
        )


def _types(found: Iterable[Referrer]) -> tuple[str, ...]:
    return tuple(sorted({each.artifact_type for each in found}))
