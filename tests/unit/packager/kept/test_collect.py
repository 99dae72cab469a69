from __future__ import annotations

from pathlib import Path

from bentofn.packager.kept.collect import collect
from bentofn.runtime.kept.host import Host
from bentofn.runtime.kept.layer import MODULES, RECORD, Kept

KEPT = Kept(Host("x86_64", ("avx2",)), {}, {})


def test_what_was_compiled_and_what_was_kept_before_are_one_layer(tmp_path: Path) -> None:
    writes, before = tmp_path / "writes", tmp_path / "before.so"
    (writes / "inductor" / "ab").mkdir(parents=True)
    (writes / "inductor" / "locks").mkdir()
    before.write_bytes(b"before")
    (writes / "inductor" / "ab" / "new.so").write_bytes(b"new")
    (writes / "inductor" / "ab" / "old.so").symlink_to(before)
    (writes / "inductor" / "ab" / ".9.tmp").write_bytes(b"")
    (writes / "inductor" / "locks" / "x.lock").write_bytes(b"")
    assert collect(writes) is None  # it never came to its end
    (writes / RECORD).write_bytes(KEPT.to_json())
    (writes / MODULES).write_text('["env/torch/_dynamo/utils.py"]')
    found = collect(writes)
    assert found is not None
    assert found.modules == ("env/torch/_dynamo/utils.py",)
    assert sorted(found.files) == ["inductor/ab/new.so", "inductor/ab/old.so"]
    assert sorted(entry.path for entry in found.entries()) == [
        f"opt/bento/compiled/{found.id}/files/inductor/ab/new.so",
        f"opt/bento/compiled/{found.id}/files/inductor/ab/old.so",
        f"opt/bento/compiled/{found.id}/kept.json",
    ]


def test_nothing_compiled_is_no_layer(tmp_path: Path) -> None:
    assert collect(tmp_path / "none") is None
    (tmp_path / RECORD).write_bytes(KEPT.to_json())
    (tmp_path / MODULES).write_text("[]")
    assert collect(tmp_path) is None
