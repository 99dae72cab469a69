"""BentoML's archives and documents come from anyone."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bentofn.packager.bentoml.documents import read_document
from bentofn.packager.bentoml.unpack import holds, unpack
from bentofn.runtime.errors import UserError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine times nine... of little, through aliases."""


def archive(path: Path, *members: tuple[str, bytes | None], mode: str = "w:xz") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return path


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w:bz2", "w"])
def test_every_compression_that_bentoml_writes(tmp_path: Path, mode: str) -> None:
    source = archive(tmp_path / "x", ("./bento.yaml", b"b"), ("./src/a.py", b"a"), mode=mode)
    assert holds(source, "bento.yaml")
    assert not holds(source, "model.yaml")
    target = tmp_path / "out"
    target.mkdir()
    unpack(source, target)
    assert (target / "src" / "a.py").read_bytes() == b"a"


@pytest.mark.parametrize("name", ["../x", "/x", "./a/../../x", "a//b"])
def test_paths_that_lead_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="leads out of it"):
        unpack(archive(tmp_path / "x.bento", (name, b"")), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "x" * 2_000_000}
    with tarfile.open(tmp_path / "x.bento", "w:xz") as tar:
        tar.addfile(info)
    assert not holds(tmp_path / "x.bento", "x")
    with pytest.raises(UserError, match="a header is too large"):
        unpack(tmp_path / "x.bento", tmp_path / "out")


def test_links_bombs_and_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="is no file"):
        unpack(archive(tmp_path / "x.bento", ("link", None)), tmp_path / "out")
    monkeypatch.setattr("bentofn.packager.bentoml.unpack._ALWAYS_ALLOWED", 1000)
    bomb = archive(tmp_path / "bomb", ("zeros", bytes(5_000_000)))
    with pytest.raises(UserError, match="far more than it is large"):
        unpack(bomb, tmp_path / "out")
    whole = archive(tmp_path / "x.bento", ("a", bytes(range(256)) * 40)).read_bytes()
    (tmp_path / "x.bento").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged"):
        unpack(tmp_path / "x.bento", tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "a: [",
        "!!python/object/apply:os.system ['true']",
        BOMB,
    ],
)  # fmt: skip
def test_documents_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(UserError, match="is not a file that BentoML wrote"):
        read_document(tmp_path / "model.yaml")
