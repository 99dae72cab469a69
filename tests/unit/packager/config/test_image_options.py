"""An image that the service describes joins what the build file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.config.image_options import (
    ImageSpec,
    check_image,
    merge_image,
    with_commands,
)
from bentofn.packager.config.model import (
    BuildConfig,
    DockerOptions,
    ImageOptions,
    PythonOptions,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.images import Image, plain


def spec(image: Image) -> ImageSpec:
    return ImageSpec.from_plain(plain(image))


def test_the_build_file_counts_first(tmp_path: Path) -> None:
    config = BuildConfig(
        "bentofile.yaml",
        "service.py",
        python=PythonOptions(packages=("numpy",)),
        python_version="3.10",
        docker=DockerOptions(base_image="debian:12", system_packages=("curl",)),
    )
    image = Image("ubuntu:24.04", python_version="3.12").system_packages("git", "curl")
    merged = merge_image(config, spec(image.python_packages("pandas")), tmp_path)
    assert merged.python_version == "3.10"
    assert merged.docker.base_image == "debian:12"
    assert merged.docker.system_packages == ("git", "curl")
    assert (merged.python.packages, merged.python.lines) == (("numpy",), ("pandas",))


def test_a_pyproject_names_requirements(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy>1"]\n')
    config = BuildConfig("service.py", "service.py")
    merged = merge_image(config, spec(Image().pyproject_toml()), tmp_path)
    assert merged.python.lines == ("numpy>1",)
    with pytest.raises(UserError, match=r"other\.toml cannot be read"):
        merge_image(config, spec(Image().pyproject_toml("other.toml")), tmp_path)


def test_commands_run_in_their_order_where_an_image_is_made() -> None:
    image = Image().run("one").python_packages("x").run("two").run_script("./set up.sh")
    options, notes = with_commands(ImageOptions(), spec(image))
    assert options.setup_script is not None
    lines = options.setup_script.splitlines()
    assert lines[:2] == ["#!/bin/bash", "set -e"]
    assert [lines.index(each) for each in ("one", "two")] == [3, 4]
    assert "chmod +x '/opt/bento/src/./set up.sh'" in lines[5]
    assert len(notes) == 1
    own = ImageOptions(setup_script="#!/bin/sh")
    assert with_commands(own, spec(image))[0] is own


def test_an_image_that_cannot_be_made() -> None:
    for image in (Image(distro="arch"), Image().system_packages("a; rm")):
        with pytest.raises(UserError, match=r"^image=: "):
            check_image(spec(image))


def test_debian_stands_in_for_alpine(tmp_path: Path) -> None:
    image = Image(distro="alpine").system_packages("libsndfile1 ffmpeg")
    check_image(spec(image))
    merged = merge_image(BuildConfig("service.py", "service.py"), spec(image), tmp_path)
    assert merged.docker.distro is None
    assert merged.docker.system_packages == ("libsndfile1", "ffmpeg")
    assert "debian is taken in place of alpine" in merged.warnings[0]
