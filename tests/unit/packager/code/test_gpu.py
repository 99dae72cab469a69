"""Whether a service asks for a GPU, as its files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.code.gpu import asks_for_gpu, names_gpu
from bentofn.packager.config.model import BuildConfig, DockerOptions

SERVICE = """
import bentofn
GPUS = 1

@bentofn.service({arguments})
class Svc:
    pass
"""


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ("", False),
        ("resources={'cpu': 2}", False),
        ("resources={'gpu': 1}", True),
        ("resources={'gpu_type': 'nvidia-l4'}", True),
        ("resources={'gpu': 0}", False),
        ("resources={'gpu': GPUS}", True),
        ("resources=dict(gpu=1)", True),
        ("labels={'gpu': 'no'}", False),
        ("resources={'cpu': 'gpu'}", False),
    ],
)
@pytest.mark.parametrize("service", ["service:Svc", "service.py:Svc", "service.py", "pkg.service"])
def test_what_the_service_declares(
    tmp_path: Path, arguments: str, asks: bool, service: str
) -> None:
    (tmp_path / "pkg").mkdir()
    for folder in (tmp_path, tmp_path / "pkg"):
        (folder / "service.py").write_text(SERVICE.format(arguments=arguments))
    assert asks_for_gpu(tmp_path, BuildConfig("x", service)) is asks


def test_a_src_layout(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "svc.py").write_text(SERVICE.format(arguments="resources={'gpu': 1}"))
    for service in ("svc:Svc", "src/svc.py:Svc", "svc.py"):
        assert asks_for_gpu(tmp_path, BuildConfig("x", service, source_root="src")), service


@pytest.mark.parametrize("text", ["gpu resources = (", "", "\0gpu"])
def test_a_file_that_cannot_be_read_asks_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "service.py").write_text(text)
    assert not asks_for_gpu(tmp_path, BuildConfig("x", "service:Svc"))
    assert not asks_for_gpu(tmp_path, BuildConfig("x", "absent:Svc"))


def test_what_the_image_says(tmp_path: Path) -> None:
    for docker in (DockerOptions(cuda_version="12.8.1"), DockerOptions(base_image="nvidia/cuda:x")):
        assert asks_for_gpu(tmp_path, BuildConfig("x", "service:Svc", docker=docker))


def test_resources() -> None:
    assert names_gpu({"gpu": 2})
    assert not names_gpu({"gpu": None, "cpu": "500m"})
    assert not names_gpu(None)
