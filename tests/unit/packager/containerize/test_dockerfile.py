from __future__ import annotations

import pytest

from bentofn.packager.config.model import ImageOptions
from bentofn.packager.containerize.default_base import cuda_variables, default_base
from bentofn.packager.containerize.dockerfile import render
from bentofn.packager.containerize.image_config import creation_time
from bentofn.runtime.errors import UserError

BLOCKS = {
    "SETUP_BENTO_BASE_IMAGE": "FROM base",
    "SETUP_BENTO_USER": "USER root",
    "SETUP_BENTO_ENVARS": "ENV A=1",
    "SETUP_BENTO_COMPONENTS": "COPY a b",
    "SETUP_BENTO_ENTRYPOINT": "ENTRYPOINT x",
}


def test_a_template_extends_the_blocks_as_bentomls_does() -> None:
    template = (
        "{% extends bento_base_template %}\n"
        "{% block SETUP_BENTO_COMPONENTS %}\n{{ super() }}\nRUN make {{ bento__path }}\n"
        "{% endblock %}\n"
    )
    text = render(template, BLOCKS, "base")
    assert "COPY a b\nRUN make /opt/bento\n" in text
    assert text.index("FROM base") < text.index("RUN make") < text.index("ENTRYPOINT")
    assert render(None, BLOCKS, "base").startswith("FROM base\n\nUSER root\n")


@pytest.mark.parametrize(
    "template",
    [
        "{% block",
        "{{ nothing }}",
        "{{ 1 // 0 }}",
        "{{ 1 + [] }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    ],
)
def test_a_template_that_is_wrong_or_reaches_out_is_refused(template: str) -> None:
    with pytest.raises(UserError, match="cannot be rendered"):
        render(template, BLOCKS, "base")


def test_the_default_base_is_bentomls() -> None:
    def chosen(**options: str) -> str:
        return default_base(ImageOptions(**options), "3.12", "linux/amd64")  # type: ignore[arg-type]

    assert chosen() == "docker.io/library/python:3.12-slim"
    assert chosen(distro="ubi8").startswith("registry.access.redhat.com/ubi8/python-312")
    assert chosen(distro="ubi8", base_image="me/base:1") == "me/base:1"
    with pytest.raises(UserError, match="no image of amazonlinux with Python"):
        chosen(distro="amazonlinux")


def test_cuda_comes_from_packages_or_not_at_all() -> None:
    lock = ["torch==2.9.0 --hash=sha256:aa", "nvidia-cuda-runtime-cu12==12.8.90"]
    assert cuda_variables(ImageOptions(), ["torch==2.9.0+cpu"]) == {}
    assert cuda_variables(ImageOptions(), lock)["NVIDIA_VISIBLE_DEVICES"] == "all"
    required = cuda_variables(ImageOptions(cuda_version="12.8.1"), lock)
    assert required["NVIDIA_REQUIRE_CUDA"] == "cuda>=12.8"
    with pytest.raises(UserError, match="no package of the bento brings"):
        cuda_variables(ImageOptions(cuda_version="12.8.1"), ["numpy==2.0.0"])


def test_the_time_is_that_of_the_sources_or_1970() -> None:
    assert creation_time(None) == "1970-01-01T00:00:00Z"
    assert creation_time("1700000000") == "2023-11-14T22:13:20Z"
    for wrong in ("now", "9" * 30):
        with pytest.raises(UserError, match="SOURCE_DATE_EPOCH"):
            creation_time(wrong)
