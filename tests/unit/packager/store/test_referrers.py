import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bentofn.packager.home import Home
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.descriptors import BENTO_ARTIFACT, BENTO_CONFIG
from bentofn.packager.store.referrers import (
    put_referrer,
    read_content,
    referrers,
    remove_referrer,
    subject_descriptor,
)
from bentofn.runtime.errors import UserError

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOTE = "application/vnd.example.note.v1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def bento(store: Store, version: str) -> Entry:
    config = store.put_bytes(version.encode(), BENTO_CONFIG)
    layer = store.put_bytes(b"layer", "text/plain")
    return store.add(
        "bento", "x", version, store.put_manifest(BENTO_ARTIFACT, config, [layer]), NOW
    )


def sweep(store: Store) -> int:
    for blob in store.blobs.directory.iterdir():
        os.utime(blob, (1, 1))
    return store.gc().blobs


def test_it_is_an_oci_artifact_with_a_subject(store: Store) -> None:
    entry = bento(store, "1")
    note = store.put_bytes(b"hello", "text/plain")
    made = put_referrer(store, subject_descriptor(entry), NOTE, [note], {"a": "b"})
    raw = json.loads(store.blob_path(made.manifest.digest).read_bytes())
    assert raw == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": NOTE,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
            "size": 2,
        },
        "layers": [{"mediaType": "text/plain", "digest": note.digest, "size": 5}],
        "subject": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": entry.digest,
            "size": entry.manifest_size,
        },
        "annotations": {"a": "b"},
    }
    assert store.index()[-1] == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": made.manifest.digest,
        "size": made.manifest.size,
        "artifactType": NOTE,
    }
    assert referrers(store, entry.digest) == [made]
    assert read_content(store, made) == b"hello"
    assert [found.tag for found in store.list("bento")] == ["x:1"]


def test_without_blobs_its_blob_says_nothing(store: Store) -> None:
    made = put_referrer(store, subject_descriptor(bento(store, "1")), NOTE, [])
    assert read_content(store, made) == b"{}"


def test_the_same_again_changes_nothing(store: Store) -> None:
    subject = subject_descriptor(bento(store, "1"))
    note = store.put_bytes(b"hello", "text/plain")
    first = put_referrer(store, subject, NOTE, [note])
    assert put_referrer(store, subject, NOTE, [note]) == first
    assert put_referrer(store, subject, NOTE, [note], replace=True) == first
    assert referrers(store, subject.digest) == [first]


def test_an_older_one_stays_unless_it_is_replaced(store: Store) -> None:
    subject = subject_descriptor(bento(store, "1"))
    other = put_referrer(store, subject, "application/vnd.example.other", [])
    notes = [store.put_bytes(text, "text/plain") for text in (b"one", b"two", b"three")]
    for note in notes[:2]:
        put_referrer(store, subject, NOTE, [note])
    assert len(referrers(store, subject.digest, NOTE)) == 2
    last = put_referrer(store, subject, NOTE, notes[2:], replace=True)
    assert referrers(store, subject.digest, NOTE) == [last]
    assert referrers(store, subject.digest) == [other, last]
    remove_referrer(store, last.manifest.digest)
    assert referrers(store, subject.digest) == [other]


def test_it_lives_as_long_as_its_subject(store: Store) -> None:
    entry, other = bento(store, "1"), bento(store, "2")
    note = store.put_bytes(b"hello", "text/plain")
    made = put_referrer(store, subject_descriptor(entry), NOTE, [note])
    about = put_referrer(store, made.manifest, NOTE, [])
    kept = put_referrer(store, subject_descriptor(other), NOTE, [note])
    assert sweep(store) == 0
    store.delete("bento", "x:1")
    assert len(store.index()) == 2
    assert referrers(store, entry.digest) == []
    # Its manifest, its config, its two referrers; the blobs that another one names stay.
    assert sweep(store) == 4
    assert not store.has(about.manifest.digest)
    assert referrers(store, other.digest) == [kept]
    assert read_content(store, kept) == b"hello"


def test_a_tag_for_the_same_manifest_keeps_it(store: Store) -> None:
    entry = bento(store, "1")
    put_referrer(store, subject_descriptor(entry), NOTE, [])
    store.add("bento", "y", "1", subject_descriptor(entry), NOW)
    store.delete("bento", "x")
    assert len(referrers(store, entry.digest)) == 1


def test_of_a_replaced_bento_they_are_swept(store: Store) -> None:
    entry = bento(store, "1")
    put_referrer(store, subject_descriptor(entry), NOTE, [])
    config = store.put_bytes(b"new", BENTO_CONFIG)
    layer = store.put_bytes(b"layer", "text/plain")
    store.add("bento", "x", "1", store.put_manifest(BENTO_ARTIFACT, config, [layer]), NOW)
    sweep(store)
    assert len(store.index()) == 1


def test_a_damaged_one_is_swept_and_takes_nothing_along(store: Store) -> None:
    entry = bento(store, "1")
    made = put_referrer(store, subject_descriptor(entry), NOTE, [])
    path = store.blob_path(made.manifest.digest)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    sweep(store)
    assert referrers(store, entry.digest) == []
    assert store.get("bento", "x").digest == entry.digest


def test_what_is_not_there_is_not_referred_to(store: Store) -> None:
    entry = bento(store, "1")
    gone = store.put_bytes(b"gone", "text/plain")
    store.blobs.remove(gone.digest)
    with pytest.raises(UserError, match="missing"):
        put_referrer(store, subject_descriptor(entry), NOTE, [gone])
    store.delete("bento", "x")
    with pytest.raises(UserError, match="no artifact"):
        put_referrer(store, subject_descriptor(entry), NOTE, [])


def test_a_name_in_its_annotations_makes_no_bento(store: Store) -> None:
    entry = bento(store, "1")
    name = {"org.opencontainers.image.ref.name": "x:9"}
    made = put_referrer(store, subject_descriptor(entry), NOTE, [], name)
    assert [found.tag for found in store.list("bento")] == ["x:1"]
    assert referrers(store, entry.digest) == [made]
