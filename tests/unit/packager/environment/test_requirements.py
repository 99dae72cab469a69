"""A project's requirements as one list, and uv's words as one sentence."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bentofn.packager.config.model import PythonOptions
from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.packager.environment.repositories import Repository
from bentofn.packager.environment.requirements import Requirements, read_requirements
from bentofn.packager.environment.runtime_requirements import RUNTIME_REQUIREMENTS
from bentofn.packager.environment.uv import ESSENCE, essence
from bentofn.runtime.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[4]


def read(project: Path, *packages: str, **options: tuple[str, ...]) -> Requirements:
    return read_requirements(project, PythonOptions(packages, **options), IndexSettings())


def from_text(project: Path, text: str) -> Requirements:
    (project / "requirements.txt").write_text(text)
    return read(project, requirements_files=("requirements.txt",))


def test_files_are_followed_and_options_taken_out(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.txt").write_text("idna\n-c limits.txt\n--find-links wheels\n")
    (tmp_path / "sub" / "limits.txt").write_text("idna<4\n")
    found = from_text(
        tmp_path,
        """# a comment
numpy>=2 ; python_version > '3'  # why
--extra-index-url https://extra.test/simple
-i https://main.test/simple
torch==2.0 \\
    --hash=sha256:00
-r sub/more.txt
--pre
--use-feature=x
""",
    )
    assert found.packages == (
        "numpy>=2 ; python_version > '3'",
        "torch==2.0 --hash=sha256:00",
        "idna",
    )
    assert found.constraints == ("idna<4",)
    assert found.settings == IndexSettings(
        index_url="https://main.test/simple",
        extra_index_urls=("https://extra.test/simple",),
        find_links=(str(tmp_path / "sub" / "wheels"),),
        prerelease=True,
    )
    assert found.notes == ("requirements.txt: the option --use-feature is not applied.",)


@pytest.mark.parametrize(
    "name",
    [
        *("bentofn", "bentofn[torch]>=0.1", "BentoFN==1", "bentoml", "bentoml[grpc]>=1.3,<2"),
        "bentoml @ git+https://example.org/bentoml@main",
    ],
)
def test_what_the_runtime_provides_is_left_out_and_said(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, name, "idna", "bentofn-tools", "bentoml-x")
    assert found.packages == ("idna", "bentofn-tools", "bentoml-x")
    assert "is left out" in found.notes[0]


def test_a_service_may_keep_bentoml(tmp_path: Path) -> None:
    def kept(*packages: str) -> tuple[str, ...]:
        options = PythonOptions(packages)
        found = read_requirements(tmp_path, options, IndexSettings(), keeps_bentoml=True)
        return found.packages

    assert kept("idna", "bentoml==1.3", "bentofn") == ("idna", "bentoml==1.3")
    assert kept("idna") == ("idna", "bentoml")


def test_lines_of_an_image_and_pins(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("certifi\n")
    options = PythonOptions(("idna",), lines=("--pre", "-r more.txt", "six"))
    found = read_requirements(tmp_path, options, IndexSettings(), pins=("idna==3.4",))
    assert found.packages == ("idna", "certifi", "six")
    assert (found.constraints, found.settings.prerelease) == (("idna==3.4",), True)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("./local", "is a local path"),
        ("-e .", "is a local path"),
        ("pkg @ file:///somewhere/x.whl", "is a local path"),
        ("hg+https://host.test/x", "a repository"),
        ("git+https://host.test/x.git@-f", "a repository"),
        ("git+ext::sh -c touch", "a repository"),
        ("-c requirements.txt", "includes itself"),
        ("git+https://t0ken-secret@host.test/x.git", "carries a password"),
        ("pkg @ git+https://me:secret@host.test/x.git@v1", "carries a password"),
        ("pkg @ https://me:secret@host.test/x.whl", "carries a password"),
        ("--index-url https://me:secret@host.test/simple", "carries a password"),
        ("--find-links 'wheels", "never ends"),
        ("!!", "is not a requirement"),
        ("-r absent.txt", "absent.txt does not exist"),
        ("-r requirements.txt", "includes itself"),
    ],
)
def test_what_cannot_be_locked_is_refused(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        from_text(tmp_path, line)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "repository"),
    [
        ("git+https://h.test/a/x.git", Repository("https://h.test/a/x.git")),
        ("x @ git+https://h.test/x@v1.0", Repository("https://h.test/x", "v1.0")),
        ("git+ssh://git@h.test/x.git@main", Repository("ssh://git@h.test/x.git", "main")),
        ("git+file:///some/x@a/b#egg=x", Repository("file:///some/x", "a/b")),
        (
            "x[cpu, y] @ git+https://h.test/x@1#subdirectory=p/q&egg=x ; python_version > '3'",
            Repository("https://h.test/x", "1", "p/q", "[cpu, y]", "python_version > '3'"),
        ),
    ],
)
def test_repositories(tmp_path: Path, line: str, repository: Repository) -> None:
    found = from_text(tmp_path, f"idna\n{line}\n{line}\n")
    assert found.repositories == (repository,)
    assert found.packages == ("idna",)


def test_a_password_may_come_from_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "t0ken")
    found = from_text(tmp_path, "-i https://u:${INDEX_TOKEN}@host.test/simple\n")
    assert "carries" not in str(found.notes)
    assert found.settings.index_url == "https://u:t0ken@host.test/simple"


def test_a_password_in_the_bentofile_is_refused(tmp_path: Path) -> None:
    for option in ("extra_index_urls", "find_links"):
        with pytest.raises(UserError, match="carries a password") as caught:
            read(tmp_path, **{option: ("https://me:secret@host.test/simple",)})
        assert "secret" not in str(caught.value)


def test_wheels_become_requirements(tmp_path: Path) -> None:
    wheel = tmp_path / "lib" / "My_Pkg-1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"")
    found = read(tmp_path, wheels=("lib/My_Pkg-1.2-py3-none-any.whl",))
    assert found.packages == ("my-pkg==1.2",)
    assert found.settings.find_links == (str(wheel.parent),)
    with pytest.raises(UserError, match="is not a wheel file"):
        read(tmp_path, wheels=("lib/absent-1-py3-none-any.whl",))


def test_the_runtime_needs_no_more_than_bentofn_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(RUNTIME_REQUIREMENTS) <= set(project["dependencies"])


def test_the_essence_of_an_error_is_one_plain_line() -> None:
    said = """\x1b[1mUsing CPython 3.11\x1b[0m
warning: something
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of nothing==9 and you require nothing==9, we
      can conclude that your requirements are unsatisfiable.
"""
    text = essence(said)
    assert text.startswith("Because there is no version of nothing==9")
    assert re.fullmatch(r"[ -~]+", text)
    assert essence("error: No solution found when resolving dependencies\n  cause: Because") == (
        "Because"
    )
    assert "secret" not in essence("error: https://me:secret@a.test/simple is down")
    assert len(essence("word " * 1000)) < ESSENCE + 10
    assert essence("")


@pytest.mark.parametrize(
    "pin", ["starlette==0.37.2", "pydantic==2.7.4", "python-multipart==0.0.12"]
)
def test_the_runtime_goes_with_the_versions_that_projects_pin(pin: str) -> None:
    """FastAPI 0.111, which many services of 2024 pin, takes no Starlette but 0.37."""
    name, version = pin.split("==")
    (needed,) = [n for n in map(Requirement, RUNTIME_REQUIREMENTS) if n.name == name]
    assert needed.specifier.contains(version)
