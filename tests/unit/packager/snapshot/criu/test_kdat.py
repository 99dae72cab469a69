"""CRIU's cache is made once, and made again when it is another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.snapshot.criu.installed import Criu
from bentofn.packager.snapshot.criu.kdat import NAME, SIDECAR, Probe, ensure_kdat, install_kdat
from bentofn.runtime.errors import UserError


@pytest.fixture
def broken(tmp_path: Path) -> Criu:
    """A CRIU that cannot look at the kernel."""
    path = tmp_path / "criu"
    path.write_text("#!/bin/sh\necho 'Error (criu/x.c:1): the kernel is odd' >&2\nexit 1\n")
    path.chmod(0o755)
    return Criu((str(path),), "4.2.1", path)


def test_a_cache_that_is_there_is_not_made_again(broken: Criu, tmp_path: Path) -> None:
    install_kdat(broken, Probe(b"features", ""), tmp_path)
    ensure_kdat(broken, tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"features"
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [NAME, SIDECAR])
def test_a_cache_that_another_wrote_or_removed_is_made_again(
    broken: Criu, tmp_path: Path, name: str
) -> None:
    install_kdat(broken, Probe(b"features", ""), tmp_path)
    (tmp_path / name).write_bytes(b"another's")
    with pytest.raises(UserError, match="cannot look at this kernel"):
        ensure_kdat(broken, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match="cannot look at this kernel"):
        ensure_kdat(broken, tmp_path)


def test_the_cache_of_another_version_is_made_again(broken: Criu, tmp_path: Path) -> None:
    install_kdat(broken, Probe(b"features", ""), tmp_path)
    newer = Criu(broken.command, "4.3", broken.path)
    with pytest.raises(UserError):
        ensure_kdat(newer, tmp_path)
