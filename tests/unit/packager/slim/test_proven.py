"""A proof is made once; one that could not be made is tried again."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.slim.proven import cached_proof


def test_only_a_proof_that_passed_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    outcomes = iter(["The examples need a secret.", None])
    made = []

    def make() -> str | None:
        made.append(True)
        return next(outcomes)

    assert cached_proof(home, "k", make) == "The examples need a secret."
    assert cached_proof(home, "k", make) is None
    assert cached_proof(home, "k", make) is None
    assert len(made) == 2
