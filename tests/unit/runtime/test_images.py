"""``bentoml.images.Image`` notes what is said, and reads no file."""

from __future__ import annotations

import pytest

from bentofn.images import Image, PythonImage
from bentofn.runtime.errors import BentoMLConfigException
from bentofn.runtime.images import RUNNING, plain


def test_everything_can_be_chained_and_changed() -> None:
    image = PythonImage(python_version=RUNNING).requirements_file("absent.txt").uv_lock()
    image.build_include("data/").base_image = "debian:12"
    said = plain(image)
    assert said["lines"] == ["-r absent.txt"]
    assert said["python_version"] is None
    assert (said["base_image"], said["uv_lock"], said["include"]) == ("debian:12", True, ["data/"])


def test_requirements_come_before_what_runs_after_them() -> None:
    image = Image().run("before").python_packages("x").run("after")
    assert plain(image)["commands"] == ["before", "after"]
    with pytest.raises(BentoMLConfigException, match="Can't separate"):
        image.requirements_file("requirements.txt")
    with pytest.raises(BentoMLConfigException, match="No packages"):
        Image().python_packages()
