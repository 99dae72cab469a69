from __future__ import annotations

from pathlib import Path

from bentofn.packager.kept.collect import collect
from bentofn.runtime.kept.host import Host
from bentofn.runtime.kept.layer import RECORD, Kept

KEPT = Kept(Host("x86_64", ("avx2",)), {}, {})


def test_what_was_compiled_and_what_was_kept_before_are_one_layer(tmp_path: Path) -> None:
    writes, before = tmp_path / "writes", tmp_path / "kept" / "before.so"
    (writes / "inductor" / "ab").mkdir(parents=True)
    (writes / "inductor" / "locks").mkdir()
    before.parent.mkdir()
    before.write_bytes(b"before")
    (writes / "inductor" / "ab" / "new.so").write_bytes(b"new")
    (writes / "inductor" / "ab" / "old.so").symlink_to(before)
    (writes / "inductor" / "ab" / ".9.tmp").write_bytes(b"")
    (writes / "inductor" / "locks" / "x.lock").write_bytes(b"")
    assert collect(writes) is None  # it never came to its end
    (writes / RECORD).write_bytes(KEPT.to_json())
    found = collect(writes, [before.parent])
    assert found is not None
    assert sorted(found.files) == ["inductor/ab/new.so", "inductor/ab/old.so"]
    assert sorted(entry.path for entry in found.entries()) == [
        f"opt/bento/compiled/{found.id}/files/inductor/ab/new.so",
        f"opt/bento/compiled/{found.id}/files/inductor/ab/old.so",
        f"opt/bento/compiled/{found.id}/kept.json",
    ]


def test_nothing_compiled_is_no_layer(tmp_path: Path) -> None:
    assert collect(tmp_path / "none") is None
    (tmp_path / RECORD).write_bytes(KEPT.to_json())
    assert collect(tmp_path) is None


def test_what_is_elsewhere_gets_into_no_layer(tmp_path: Path) -> None:
    """The service, which may have been kept from reading it, only has to link to it."""
    writes, secret = tmp_path / "writes", tmp_path / "secret"
    (writes / "own").mkdir(parents=True)
    secret.mkdir()
    (secret / "key.pem").write_bytes(b"secret")
    (writes / "own" / "leak").symlink_to(secret / "key.pem")
    (writes / "own" / "folder").symlink_to(secret)
    (writes / "own" / "good.pt2").write_bytes(b"good")
    (writes / RECORD).write_bytes(KEPT.to_json())
    found = collect(writes)
    assert found is not None
    assert sorted(found.files) == ["own/good.pt2"]
