"""Packages that need a newer C library than Lambda has."""

from __future__ import annotations

import pytest

from bentofn.packager.lambda_.system import glibc_of, too_new, wheel_of


@pytest.mark.parametrize(
    ("tags", "library"),
    [
        (["cp311-cp311-manylinux_2_27_x86_64", "cp311-cp311-manylinux_2_28_x86_64"], (2, 27)),
        (["cp310-abi3-manylinux2014_aarch64"], (2, 17)),
        (["cp38-abi3-manylinux1_x86_64"], (2, 5)),
        (["py3-none-any"], None),
        (["cp311-cp311-linux_x86_64"], None),
    ],
)
def test_a_wheels_tags_say_what_it_needs(tags: list[str], library: tuple[int, int] | None) -> None:
    assert glibc_of("Wheel-Version: 1.0\n" + "\n".join(f"Tag: {tag}" for tag in tags)) == library


def test_a_wheels_file_is_known_by_its_place() -> None:
    assert wheel_of("bento/env/numpy-2.4.6.dist-info/WHEEL") == "numpy-2.4.6"
    assert wheel_of("bento/env/numpy/WHEEL") is None


def test_older_pythons_stand_on_an_older_system() -> None:
    needs = {"numpy-2.4.6": (2, 27), "uvloop-0.23": (2, 17), "new-1": (2, 39)}
    [old] = too_new(needs, "3.11")
    assert "glibc 2.26, and new-1, numpy-2.4.6 of" in old
    assert "Python 3.12" in old
    [new] = too_new(needs, "3.13")
    assert "glibc 2.34, and new-1 of" in new
    assert list(too_new({"numpy-2.4.6": (2, 27)}, "3.12")) == []
