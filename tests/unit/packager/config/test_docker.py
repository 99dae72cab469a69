"""The ``docker`` section: what it may say, and what of it a bento carries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentofn.packager.config.bentofile import parse
from bentofn.packager.config.docker_files import LONGEST, read_env, read_image
from bentofn.packager.config.model import BuildConfig, DockerOptions, ImageOptions
from bentofn.runtime.errors import UserError


def config(docker: object) -> BuildConfig:
    raw = {"service": "service:A", "docker": docker}
    return parse(raw, "bentofile.yaml", default_service=None)


def refusal(docker: object) -> str:
    with pytest.raises(UserError) as caught:
        config(docker)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_whole_section() -> None:
    found = config(
        {
            "distro": "ubi8",
            "python_version": "3.12",
            "cuda_version": 12,
            "env": {"A": 1, "B": True},
            "system_packages": ["libgomp1", "curl=7.88.1-10+deb12u5"],
            "setup_script": "./setup.sh",
            "dockerfile_template": "Dockerfile.template",
        }
    )
    assert found.python_version == "3.12"
    assert found.docker == DockerOptions(
        distro="ubi8",
        cuda_version="12.8.1",
        system_packages=("libgomp1", "curl=7.88.1-10+deb12u5"),
        env={"A": "1", "B": "True"},
        setup_script="./setup.sh",
        dockerfile_template="Dockerfile.template",
    )
    assert found.warnings == ()
    assert BuildConfig.from_plain(json.loads(json.dumps(found.to_plain()))) == found


@pytest.mark.parametrize(
    ("docker", "says"),
    [
        ({"distro": "arch"}, "docker.distro: 'arch' is not one of debian, ubi8, amazonlinux"),
        ({"cuda_version": "9.0"}, "docker.cuda_version: '9.0' is not one of default, 12"),
        ({"distro": "amazonlinux", "cuda_version": "12"}, "no image of amazonlinux with CUDA"),
        ({"system_packages": ["-y"]}, "docker.system_packages: '-y' is not the name of a package"),
        ({"system_packages": ["a; rm -rf /"]}, "is not the name of a package"),
        ({"system_packages": {"a": 1}}, "docker.system_packages must be a list"),
        ({"env": ["A"]}, "docker.env: 'A' is not NAME=value"),
        ({"env": {"1 A": "x"}}, "docker.env: '1 A' is not the name of a variable"),
        ({"base_image": ""}, "docker.base_image: '' is not an image"),
        ({"base_image": "a b"}, "docker.base_image: 'a b' is not an image"),
        ({"setup_script": ["a"]}, "docker.setup_script"),
        ("debian", "docker must be a mapping"),
    ],
)
def test_a_mistake_is_one_sentence(docker: object, says: str) -> None:
    assert says in refusal(docker)


def test_with_a_base_image() -> None:
    found = config({"base_image": "my/image:1", "cuda_version": "12", "system_packages": "git"})
    assert found.docker.cuda_version is None
    assert found.docker.system_packages == ("git",)
    assert found.warnings == (
        "bentofile.yaml: docker.cuda_version is ignored, because docker.base_image is given.",
    )


def test_debian_stands_in_for_alpine() -> None:
    found = config({"distro": "alpine", "system_packages": ["libsndfile1 ffmpeg", "git"]})
    assert found.docker.distro is None
    assert found.docker.system_packages == ("libsndfile1", "ffmpeg", "git")
    assert len(found.warnings) == 1
    assert "debian is taken in place of alpine" in found.warnings[0]


def test_env_as_a_list() -> None:
    assert config({"env": ["A=1", "B=x=y", "C="]}).docker.env == {"A": "1", "B": "x=y", "C": ""}


def test_env_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("# why\nexport A=1\n\nB='x # y'\nC=\"${A}\\n\"  # last\nD=\n")
    options = config({"env": "./my.env"}).docker
    assert read_env(tmp_path, options) == {"A": "1", "B": "x # y", "C": "${A}\n", "D": ""}


@pytest.mark.parametrize("text", ["A=1\nB", "A=1\n'B", "A=1\n1B=2"])
def test_a_malformed_line_of_an_env_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.env").write_text(text)
    with pytest.raises(UserError, match=r"my.env line 2 is not NAME=value"):
        read_env(tmp_path, DockerOptions(env_file="my.env"))


def test_files_go_into_the_manifest_as_text(tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_text("#!/bin/bash\necho one\n")
    (tmp_path / "Dockerfile.template").write_text("{% extends bento_base_template %}\n")
    options = DockerOptions(
        system_packages=("git",),
        setup_script="setup.sh",
        dockerfile_template="Dockerfile.template",
    )
    image = read_image(tmp_path, options)
    assert image.setup_script == "#!/bin/bash\necho one\n"
    assert image.dockerfile_template == "{% extends bento_base_template %}\n"
    assert ImageOptions.from_plain(json.loads(json.dumps(image.to_plain()))) == image
    assert read_image(tmp_path, DockerOptions()).to_plain() == {}


@pytest.mark.parametrize("key", ["setup_script", "dockerfile_template", "env_file"])
def test_a_file_that_cannot_be_carried(tmp_path: Path, key: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside.sh").write_text("#!/bin/sh\n")
    (project / "link.sh").symlink_to(tmp_path / "outside.sh")
    (project / "binary.sh").write_bytes(b"\xff\xfe")
    (project / "large.sh").write_text("#" * (LONGEST + 1))
    for name, says in {
        "absent.sh": "there is no file absent.sh",
        "../outside.sh": "stands outside the project",
        "/etc/passwd": "stands outside the project",
        "link.sh": "stands outside the project",
        "binary.sh": "is not a UTF-8 text file",
        ".": "is not a UTF-8 text file",
        "large.sh": "is larger than 256 KiB",
    }.items():
        options = DockerOptions(**{key: name})
        with pytest.raises(UserError, match=says):
            read_env(project, options) if key == "env_file" else read_image(project, options)


def test_a_script_says_what_runs_it(tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_text("echo one\n")
    with pytest.raises(UserError, match="its first line must be one such as #!/bin/bash"):
        read_image(tmp_path, DockerOptions(setup_script="setup.sh"))
