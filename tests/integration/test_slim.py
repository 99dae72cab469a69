"""Slimmed bentos: what is left out, that it is proved, and what is said when it is missed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home, leftovers
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest

SERVICE = """
from pathlib import Path

import bentofn
import tinydep

@bentofn.service
class Reader:
    {about}

    @bentofn.api({examples})
    def read(self, name: str) -> str:
        {body}
"""
BENTOFILE = """
service: "service:Reader"
python:
  packages: [tinydep]
  find_links: [wheels]
exclude: [wheels]
"""
READS_TESTS = "return (Path(tinydep.__file__).parent / 'tests' / name).read_text()"
EXAMPLES = "examples=[{'name': 'data.txt'}]"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("slim") / "home")


def write_project(
    folder: Path, body: str, examples: str = EXAMPLES, setup: str = "", about: str | None = None
) -> Path:
    """A project whose dependency is a wheel beside it.

    Args:
        folder: Where.
        body: What its endpoint does.
        examples: Of the endpoint.
        setup: What the module does.
        about: The service's docstring: a change of it is seen by an import, one of the body is not.
    """
    (folder / "wheels").mkdir(parents=True, exist_ok=True)
    text = SERVICE.format(examples=examples, body=body, about=repr(about or body))
    (folder / "service.py").write_text(text.replace("import tinydep\n", f"import tinydep\n{setup}"))
    (folder / "bentofile.yaml").write_text(BENTOFILE)
    files = {
        "tinydep/__init__.py": "",
        "tinydep/__init__.pyi": "",
        "tinydep/tests/data.txt": "data",
        "tinydep-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: tinydep\nVersion: 1\n",
        "tinydep-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, "tinydep-1.dist-info/RECORD"))
    with zipfile.ZipFile(folder / "wheels" / "tinydep-1-py3-none-any.whl", "w") as wheel:
        for name, content in {**files, "tinydep-1.dist-info/RECORD": record}.items():
            # A time of its own would be another wheel, and another lock, in each test.
            wheel.writestr(zipfile.ZipInfo(name), content)
    return folder


def run(project: Path, home: Home, **options: object) -> tuple[BuildResult, list[str]]:
    said: list[str] = []
    result = build(project, home, BuildOptions(**options), said.append)  # type: ignore[arg-type]
    assert leftovers(home) == []
    return result, said


def env_files(result: BuildResult, home: Home) -> set[str]:
    env = materialise(home, Store(home).get("bento", result.tag)) / "env"
    return {path.relative_to(env).as_posix() for path in env.rglob("tinydep*/**/*")}


def manifest(result: BuildResult, home: Home) -> BentoManifest:
    store = Store(home)
    return store.bento(store.get("bento", result.tag))


def test_safe_is_the_default_and_is_recorded(tmp_path: Path, home: Home) -> None:
    project = write_project(tmp_path / "p", "return name")
    result, said = run(project, home)
    assert "Answering the examples with and without slimming" in said
    assert {"tests", "stubs", "dist-info extras"} <= {saving.rule for saving in result.slimmed}
    assert manifest(result, home).slimmed == result.slimmed
    assert manifest(result, home).inputs["slim"].startswith("safe ")
    assert not any("tests" in path or path.endswith(".pyi") for path in env_files(result, home))
    again, _ = run(project, home)
    assert (again.reused, again.slimmed) == (True, result.slimmed)


def test_off_leaves_everything(tmp_path: Path, home: Home) -> None:
    project = write_project(tmp_path / "p", READS_TESTS)
    result, said = run(project, home, slim="off")
    assert result.slimmed == ()
    assert manifest(result, home).inputs["slim"] == "off"
    assert {"tinydep/tests/data.txt", "tinydep/__init__.pyi"} <= env_files(result, home)
    assert not any("slimming" in text for text in said)


def test_adopted_and_unpacked_environments_are_equal(tmp_path: Path, home: Home) -> None:
    project = write_project(tmp_path / "p", "return name")
    result, _ = run(project, home)
    adopted = env_files(result, home)
    other = Home(tmp_path / "home")
    assert run(project, other)[0].digest == result.digest
    for tree in (*other.roots.glob("*"), *other.unpacked.glob("*")):
        tree.rename(tmp_path / f"gone-{tree.name}")
    assert env_files(result, other) == adopted


@pytest.mark.parametrize(
    ("body", "setup", "message"),
    [
        (READS_TESTS, "", r"/read.*FileNotFoundError: .*tinydep/tests/data\.txt"),
        (
            "return str((Path(tinydep.__file__).parent / 'tests').exists())",
            "",
            r"'data\.txt'.* of /read is answered differently",
        ),
        (
            "return name",
            "(Path(tinydep.__file__).parent / 'tests/data.txt').read_text()\n",
            r"FileNotFoundError: .*tinydep/tests/data\.txt",
        ),
    ],
)
def test_what_is_missed_fails_the_build(
    tmp_path: Path, home: Home, body: str, setup: str, message: str
) -> None:
    project = write_project(tmp_path / "p", body, setup=setup)
    for _ in range(2):
        with pytest.raises(UserError, match=message):
            run(project, home)
        assert leftovers(home) == []
    assert run(project, home, slim="off")[0].slimmed == ()


def test_examples_that_fail_anyway_prove_nothing(tmp_path: Path, home: Home) -> None:
    project = write_project(tmp_path / "p", "raise RuntimeError('no GPU here')", about="One")
    result, _ = run(project, home)
    (warning,) = [text for text in result.warnings if "could not be proved" in text]
    assert "RuntimeError: no GPU here" in warning
    write_project(project, "return 'no GPU needed'", about="One")
    mended, said = run(project, home)
    assert [text for text in mended.warnings if "could not be proved" in text] == []
    assert "Answering the examples with and without slimming" in said


def test_answers_that_are_never_the_same(tmp_path: Path, home: Home) -> None:
    project = write_project(tmp_path / "p", "import uuid; return str(uuid.uuid4())")
    assert run(project, home)[0].slimmed


def test_without_examples_only_the_import_is_proved(tmp_path: Path, home: Home) -> None:
    project = write_project(tmp_path / "p", "return name", examples="")
    result, said = run(project, home)
    assert any("only that the service imports is proved" in text for text in said)
    assert result.slimmed


def test_a_machine_without_strip_says_so(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "p", "return name")
    monkeypatch.setenv("PATH", str(tmp_path))
    result, _ = run(project, home)
    assert any("install binutils" in text for text in result.warnings)
    assert manifest(result, home).inputs["slim"].endswith("no strip")


def test_an_unknown_level(tmp_path: Path, home: Home) -> None:
    with pytest.raises(UserError, match="There is no --slim most; it takes off"):
        run(write_project(tmp_path / "p", "return name"), home, slim="most")


def test_manifests_from_before_slimming_are_read(tmp_path: Path, home: Home) -> None:
    result, _ = run(write_project(tmp_path / "p", "return name"), home)
    raw = json.loads(manifest(result, home).to_json())
    del raw["slimmed"]
    assert BentoManifest.from_json(json.dumps(raw)).slimmed == ()
