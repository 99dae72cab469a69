"""A signature proves what it should, and nothing else does."""

import base64
import json
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.archive import export_bento, import_bento
from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import put_referrer, referrers, subject_descriptor
from bentofn.packager.trust.bundle import read_bundle, signed_subjects
from bentofn.packager.trust.keys import load_signer, load_verify_key
from bentofn.packager.trust.kinds import BUNDLE
from bentofn.packager.trust.signing import requiring, sign, verify
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
KINDS = ["ed25519", "p256"]


def write_keys(
    folder: Path, name: str, key: Any, encryption: KeySerializationEncryption | None = None
) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    form = PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()))
    spki = PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, spki))
    return private, public


def new_key(kind: str) -> Any:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(params=KINDS)
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "mine", new_key(request.param))


def no_password() -> str:
    raise AssertionError("asked for a passphrase")


def store_at(path: Path) -> Store:
    return Store(Home(path))


def build(store: Store, code: bytes = b"code") -> Entry:
    layer = put_layer(store, [LayerFile("opt/bento/src/a", code)], kind="code", title="code")
    bento = BentoManifest("g", "1", ServiceContract("g", "s:G"), "3.11", "linux")
    return store.add_bento(bento, [layer], NOW)


def bundle_of(store: Store, entry: Entry) -> dict[str, Any]:
    (found,) = referrers(store, entry.digest, BUNDLE)
    content: dict[str, Any] = json.loads(store.blob_path(found.layers[0].digest).read_bytes())
    return content


def attach(store: Store, entry: Entry, bundle: Any) -> None:
    blob = store.put_bytes(json.dumps(bundle).encode(), BUNDLE)
    put_referrer(store, subject_descriptor(entry), BUNDLE, [blob], replace=True)


def test_a_signed_bento_is_proved(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    store = store_at(tmp_path / "home")
    entry = build(store)
    note = put_referrer(store, subject_descriptor(entry), "text/note", [])
    signed = sign(store, entry, load_signer(keys[0], no_password))
    assert signed.covered == {entry.digest, note.manifest.digest}
    later = put_referrer(store, subject_descriptor(entry), "text/later", [])
    found = verify(store, entry, load_verify_key(keys[1]))
    assert (found.covered, found.uncovered) == (("text/note",), ("text/later",))
    # Manifest, config and layer; three referrers, the blob of one, and {} of all.
    assert found.blobs == 3 + 3 + 1 + 1
    assert later.manifest.digest not in signed.covered


def test_signing_again_changes_nothing_until_there_is_more_to_cover(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    store = store_at(tmp_path / "home")
    entry, signer = build(store), load_signer(keys[0], no_password)
    first = sign(store, entry, signer)
    assert sign(store, entry, signer).referrer == first.referrer
    put_referrer(store, subject_descriptor(entry), "text/note", [])
    second = sign(store, entry, signer)
    assert second.referrer != first.referrer
    assert referrers(store, entry.digest, BUNDLE) == [second.referrer]


def test_the_same_bento_and_key_give_the_same_file(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    exported = []
    for name in ("here", "there"):
        store = store_at(tmp_path / name)
        sign(store, build(store), load_signer(keys[0], no_password))
        export_bento(store, "g", tmp_path / f"{name}.tar")
        exported.append((tmp_path / f"{name}.tar").read_bytes())
    assert exported[0] == exported[1]


def test_two_may_sign(tmp_path: Path) -> None:
    store = store_at(tmp_path / "home")
    entry = build(store)
    pairs = [write_keys(tmp_path, kind, new_key(kind)) for kind in KINDS]
    for private, _ in pairs:
        sign(store, entry, load_signer(private, no_password))
    for _, public in pairs:
        verify(store, entry, load_verify_key(public))


def test_it_is_a_bundle_that_cosign_reads(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """As sigstore/cosign's specs/BUNDLE_SPEC.md and what cosign 3 writes."""
    store = store_at(tmp_path / "home")
    entry = build(store)
    signer = load_signer(keys[0], no_password)
    made = sign(store, entry, signer).referrer
    assert made.annotations == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    }
    bundle = bundle_of(store, entry)
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = base64.b64encode(signer.public.digest).decode()
    assert bundle["verificationMaterial"] == {"publicKey": {"hint": hint}, "tlogEntries": []}
    assert bundle["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
    assert json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "g:1", "digest": {"sha256": entry.digest.removeprefix("sha256:")}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_finds_the_signature_good(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    store = store_at(tmp_path / "home")
    entry = build(store)
    sign(store, entry, load_signer(keys[0], no_password))
    envelope = bundle_of(store, entry)["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    signed, signature = tmp_path / "signed", tmp_path / "signature"
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    signed.write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    inform = ["openssl", "pkey", "-pubin", "-in", str(keys[1]), "-noout", "-text"]
    if "ED25519" in subprocess.run(inform, check=True, capture_output=True, text=True).stdout:
        command = ["pkeyutl", "-verify", "-pubin", "-inkey", str(keys[1]), "-rawin"]
        command += ["-in", str(signed), "-sigfile", str(signature)]
    else:
        command = ["dgst", "-sha256", "-verify", str(keys[1])]
        command += ["-signature", str(signature), str(signed)]
    assert subprocess.run(["openssl", *command], check=False).returncode == 0
    signed.write_bytes(signed.read_bytes().replace(b"g:1", b"g:2"))
    done = subprocess.run(["openssl", *command], check=False, capture_output=True)
    assert done.returncode != 0


def test_unsigned_and_signed_by_another_are_told_apart(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    store = store_at(tmp_path / "home")
    entry, public = build(store), load_verify_key(keys[1])
    with pytest.raises(UserError, match="g:1 is not signed"):
        verify(store, entry, public)
    other, _ = write_keys(tmp_path, "other", new_key("p256"))
    sign(store, entry, load_signer(other, no_password))
    with pytest.raises(UserError, match=r"is signed, but not with the .* key sha256:"):
        verify(store, entry, public)


def flip_signature(bundle: dict[str, Any]) -> None:
    signature = bytearray(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"]))
    signature[-1] ^= 1
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()


def flip_payload(bundle: dict[str, Any]) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"g:1", b"g:2")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


def drop_signature(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


@pytest.mark.parametrize("forge", [flip_signature, flip_payload, drop_signature])
def test_a_forged_signature_is_refused(tmp_path: Path, keys: tuple[Path, Path], forge: Any) -> None:
    store = store_at(tmp_path / "home")
    entry = build(store)
    sign(store, entry, load_signer(keys[0], no_password))
    bundle = bundle_of(store, entry)
    forge(bundle)
    attach(store, entry, bundle)
    with pytest.raises(UserError, match="damaged or forged"):
        verify(store, entry, load_verify_key(keys[1]))


def test_a_signature_of_another_bento_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    store, other = store_at(tmp_path / "home"), store_at(tmp_path / "other")
    theirs = build(other, b"evil")
    sign(other, theirs, load_signer(keys[0], no_password))
    entry = build(store)
    attach(store, entry, bundle_of(other, theirs))
    with pytest.raises(UserError, match="for another bento"):
        verify(store, entry, load_verify_key(keys[1]))


def test_a_damaged_blob_is_found(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    store = store_at(tmp_path / "home")
    entry = build(store)
    sign(store, entry, load_signer(keys[0], no_password))
    blob = store.blob_path(store.layers(entry)[0].digest)
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[3] ^= 1
    blob.write_bytes(data)
    with pytest.raises(UserError, match="damaged or missing"):
        verify(store, entry, load_verify_key(keys[1]))
    build(store)
    verify(store, entry, load_verify_key(keys[1]))


def test_an_import_without_the_signature_leaves_nothing(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    store, other = store_at(tmp_path / "home"), store_at(tmp_path / "other")
    entry, public = build(store), load_verify_key(keys[1])
    export_bento(store, "g", tmp_path / "unsigned.tar")
    with pytest.raises(UserError, match=r"unsigned\.tar is not signed"):
        import_bento(other, tmp_path / "unsigned.tar", requiring(public, "unsigned.tar"))
    assert other.index() == []
    sign(store, entry, load_signer(keys[0], no_password))
    export_bento(store, "g", tmp_path / "signed.tar")
    import_bento(other, tmp_path / "signed.tar", requiring(public, "signed.tar"))
    assert verify(other, other.get("bento", "g"), public).entry.digest == entry.digest


def test_what_somebody_else_attached_does_not_come_along(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    """Such as a prefetch list, whose pages would be run."""
    store, other = store_at(tmp_path / "home"), store_at(tmp_path / "other")
    entry = build(store)
    mine = put_referrer(store, subject_descriptor(entry), "text/mine", [])
    signed = sign(store, entry, load_signer(keys[0], no_password)).referrer
    put_referrer(store, subject_descriptor(entry), "text/theirs", [])
    export_bento(store, "g", tmp_path / "g.tar")
    import_bento(other, tmp_path / "g.tar", requiring(load_verify_key(keys[1]), "g.tar"))
    found = {each.manifest.digest for each in referrers(other, entry.digest)}
    assert found == {mine.manifest.digest, signed.manifest.digest}


def test_an_encrypted_key_asks_for_its_passphrase(tmp_path: Path) -> None:
    key = new_key("ed25519")
    private, _ = write_keys(tmp_path, "mine", key, BestAvailableEncryption(b"correct"))
    assert load_signer(private, lambda: "correct").public.kind == "Ed25519"
    with pytest.raises(UserError, match="passphrase is another") as error:
        load_signer(private, lambda: "wrong-one")
    assert "wrong-one" not in str(error.value)


def test_keys_of_other_kinds_and_no_keys_are_refused(tmp_path: Path) -> None:
    pairs = [
        write_keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048)),
        write_keys(tmp_path, "p384", ec.generate_private_key(ec.SECP384R1())),
    ]
    for private, public in pairs:
        with pytest.raises(UserError, match="another kind"):
            load_signer(private, no_password)
        with pytest.raises(UserError, match="another kind"):
            load_verify_key(public)
        with pytest.raises(UserError, match="keep it to yourself"):
            load_verify_key(private)
        with pytest.raises(UserError, match="no private key"):
            load_signer(public, no_password)
    with pytest.raises(UserError, match="cannot be read"):
        load_verify_key(tmp_path / "nothing.pem")


def test_a_key_is_never_printed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    signer = load_signer(keys[0], no_password)
    assert "PRIVATE" not in repr(signer)
    assert repr(signer) == f"Signer(public=VerifyKey(kind={signer.public.kind!r}))"


@given(data=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_no_bundle(data: bytes) -> None:
    read_bundle(data)
    assert signed_subjects(data) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.fixed_dictionaries({}, optional={
    "_type": st.just("https://in-toto.io/Statement/v1"),
    "predicateType": st.just("https://sigstore.dev/cosign/sign/v1"),
    "subject": st.lists(st.fixed_dictionaries({}, optional={"digest": JSON, "name": JSON})) | JSON,
}))  # fmt: skip
def test_any_statement_is_read(raw: dict[str, Any]) -> None:
    for subject in signed_subjects(json.dumps(raw).encode()):
        assert len(subject.digest) == 71


@given(st.fixed_dictionaries({
    "mediaType": st.just(BUNDLE),
    "verificationMaterial": st.just({"publicKey": {"hint": "x"}}) | JSON,
    "dsseEnvelope": st.fixed_dictionaries({
        "payloadType": st.just("application/vnd.in-toto+json"),
        "payload": st.just("") | JSON,
        "signatures": st.lists(st.fixed_dictionaries({"sig": st.just("AAAA") | JSON})) | JSON,
    }) | JSON,
}))  # fmt: skip
def test_any_json_is_read_as_a_bundle(raw: dict[str, Any]) -> None:
    read_bundle(json.dumps(raw).encode())
