"""Whatever a user's file holds: it is read, or refused with one sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from bentofn.packager.code.import_surface import import_surface
from bentofn.packager.code.sources import collect
from bentofn.packager.config import bentofile
from bentofn.packager.config.discovery import load_config
from bentofn.packager.config.model import PythonOptions
from bentofn.packager.environment.index_settings import IndexSettings, mask
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.requirements import read_requirements
from bentofn.packager.environment.uv import essence
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

KEYS = st.sampled_from(
    (
        *("service", "name", "labels", "include", "models", "envs", "docker", "python", "conda"),
        *("args", "packages", "pip_args", "tag", "value", "python_version", "env", "other"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
LINES = st.lists(
    st.sampled_from(
        ["-r ", "-c ", "-i", "--find-links ", "--pre", "-e ", "pkg @ ", "git+", "'", "#"]
    )
    | st.text(max_size=10),
    max_size=5,
).map("".join)


@given(raw=VALUES)
@example(raw={"python": {"pip_args": "'"}})
@example(raw={"docker": {"env": "file.env"}})
@example(raw={1: 2})
def test_any_bentofile(raw: object) -> None:
    with contextlib.suppress(UserError):
        config = bentofile.parse(raw, "bentofile.yaml", default_service="service.py")
        assert type(config).from_plain(config.to_plain()) == config


@given(content=st.binary(max_size=60))
def test_any_bytes_as_bentofile_and_as_ignore_file(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        project = Path(folder, "project")
        project.mkdir()
        for name in ("bentofile.yaml", ".bentoignore", "service.py"):
            (project / name).write_bytes(content)
        with contextlib.suppress(UserError):
            load_config(project, Home(Path(folder, "home")))
        with contextlib.suppress(UserError):
            collect(project, ["*"], [])


@given(lines=st.lists(LINES, max_size=4))
def test_any_requirements(lines: list[str]) -> None:
    with TemporaryDirectory() as folder:
        Path(folder, "r.txt").write_bytes("\n".join(lines).encode("utf-8", "replace"))
        with contextlib.suppress(UserError):
            read_requirements(
                Path(folder), PythonOptions(requirements_files=("r.txt",)), IndexSettings()
            )


@given(content=st.binary(max_size=60))
def test_any_pip_configuration(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "pip.conf")
        file.write_bytes(b"[global]\n" + content)
        with contextlib.suppress(UserError):
            read_pip_config({"PIP_CONFIG_FILE": str(file), "HOME": folder}, prefix=folder)


@given(text=st.text())
def test_any_text_of_uv(text: str) -> None:
    assert "\n" not in essence(text)
    mask(text)


@given(sources=st.dictionaries(st.just("a.py"), st.binary(max_size=40)))
def test_any_bytes_as_python(sources: dict[str, bytes]) -> None:
    assert import_surface(sources, {}) == import_surface(dict(sources), {})
