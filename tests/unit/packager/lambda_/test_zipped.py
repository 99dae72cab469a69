"""Zip archives for Lambda."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.lambda_.zipped import ZipEntry, write_zip
from bentofn.runtime.errors import UserError


def entry(path: str, data: bytes, **more: object) -> ZipEntry:
    return ZipEntry(path, io.BytesIO(data), len(data), **more)  # type: ignore[arg-type]


@given(files=st.dictionaries(st.sampled_from(["a/b.py", "c.safetensors", "d"]), st.binary()))
def test_what_goes_in_comes_out_and_the_same_files_are_the_same_bytes(
    files: dict[str, bytes],
) -> None:
    made = []
    for _ in range(2):
        out = io.BytesIO()
        unzipped = write_zip([entry(path, data) for path, data in files.items()], out)
        made.append(out.getvalue())
        assert unzipped == sum(map(len, files.values()))
    assert made[0] == made[1]
    with zipfile.ZipFile(io.BytesIO(made[0])) as archive:
        assert {info.filename: archive.read(info) for info in archive.infolist()} == files
        assert {info.date_time for info in archive.infolist()} <= {(1980, 1, 1, 0, 0, 0)}


def test_modes_and_links_are_kept() -> None:
    out = io.BytesIO()
    write_zip(
        [entry("run", b"#!", mode=0o755), entry("link", b"run", mode=0o777, is_link=True)], out
    )
    with zipfile.ZipFile(out) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert modes == {"run": stat.S_IFREG | 0o755, "link": stat.S_IFLNK | 0o777}


def test_weights_are_not_deflated_in_vain() -> None:
    out = io.BytesIO()
    write_zip([entry("a.safetensors", bytes(10_000)), entry("a.py", bytes(10_000))], out)
    with zipfile.ZipFile(out) as archive:
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    assert sizes["a.safetensors"] == 10_000
    assert sizes["a.py"] < 1000


def test_a_path_stands_there_once() -> None:
    with pytest.raises(UserError, match=r"a\.py stands twice"):
        write_zip([entry("a.py", b"1"), entry("a.py", b"2")], io.BytesIO())
