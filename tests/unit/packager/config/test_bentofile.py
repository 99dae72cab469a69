"""What a project's build file may say, and how a mistake in it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentofn.packager.config.conda_file import with_conda_file
from bentofn.packager.config.discovery import load_config, with_requirements_file
from bentofn.packager.config.model import BuildConfig, EnvironmentVariable, ModelChoice
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


class Project:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "project"
        self.path.mkdir()
        self.home = Home(folder / "home")

    def write(self, name: str, text: str) -> Project:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self

    def load(self, bentofile: Path | None = None) -> BuildConfig:
        first = load_config(self.path, self.home, bentofile)
        assert load_config(self.path, self.home, bentofile) == first, "the cached one differs"
        return first

    def refuses(self) -> str:
        with pytest.raises(UserError) as caught:
            load_config(self.path, self.home)
        return str(caught.value)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


FULL = """
service: "service:Embeddings"
name: embeddings
description: Sentence embeddings
labels: {stage: dev, size: 3, live: yes, of: {team: a}}
include: ["*.py"]
exclude: "tests/"
models:
  - minilm:latest
  - {tag: "bert:v1", alias: bert}
envs:
  - {name: MODE, value: fast}
  - {name: THREADS, value: 4}
  - {name: TOKEN}
  - {name: BUILD_ONLY, value: x, stage: build}
docker:
  python_version: "3.12"
  system_packages: [libgomp1]
  env: {A: b}
python:
  packages: [numpy]
  requirements_txt: requirements.txt
  index_url: https://index.test/simple
  extra_index_url: https://extra.test/simple
  find_links: [wheels]
  trusted_host: [index.test]
  no_index: false
  pip_args: "--pre --extra-index-url=https://third.test/simple"
  wheels: [lib/one-1.0-py3-none-any.whl]
"""


def test_everything(project: Project) -> None:
    config = project.write("bentofile.yaml", FULL).load()
    assert config.service == "service:Embeddings"
    assert config.labels == {"stage": "dev", "size": "3", "live": "True", "of": "{'team': 'a'}"}
    assert config.include == ("*.py",)
    assert config.exclude == ("tests/",)
    assert config.models == (ModelChoice("minilm:latest"), ModelChoice("bert:v1", "bert"))
    assert config.envs == (
        EnvironmentVariable("MODE", "fast"),
        EnvironmentVariable("THREADS", "4"),
        EnvironmentVariable("TOKEN"),
    )
    assert config.python_version == "3.12"
    assert config.docker.system_packages == ("libgomp1",)
    assert config.docker.env == {"A": "b"}
    python = config.python
    assert python.packages == ("numpy",)
    assert python.requirements_files == ("requirements.txt",)
    assert python.extra_index_urls == ("https://extra.test/simple", "https://third.test/simple")
    assert python.prerelease
    assert not python.no_index
    assert config.warnings == ("bentofile.yaml: envs of stage build are not applied: BUILD_ONLY.",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("servce: a:B", "unknown key 'servce'; did you mean 'service'?"),
        ("service: a:B\npython: {package: [x]}", "'python.package'; did you mean 'packages'?"),
        ("service: a:B\ndocker: {distroo: x}", "'docker.distroo'; did you mean 'distro'?"),
        ("service: a:B\nmodels: [{tag: x, alas: y}]", "'models.0.alas'; did you mean 'alias'?"),
        ("service: a:B\nzzzz: 1", "unknown key 'zzzz'; known keys are service"),
        ("service: a:B\nmodels: [{alias: y}]", "models.0.tag is missing"),
        ("service: a:B\ninclude: {a: b}", "include must be a list"),
        ("service: a:B\ndocker: {python_version: 3.10}", 'write "3.10"'),
        ("service: a:B\nconda: environment.yml", "conda must be a mapping"),
        ("service: a:B\nconda: {dependencies: [{npm: [x]}]}", "holds pip alone"),
        ("service: a:B\nconda: {dependencies: ['=1']}", "'=1' is not a package"),
        ("service: a:B\npython: {pip_args: '-f \"x'}", "pip_args cannot be read: no closing"),
        ("service: a:B\npython: {pip_args: -i}", "pip_args cannot be read: -i has no value"),
        ("service: [\n", "line 2, column 1 is not valid YAML"),
        ("service: a\n  b: c\n", "line 2, column 4 is not valid YAML"),
        ("- service", "must hold a mapping"),
        ("name: x", "names no service"),
    ],
)
def test_a_mistake_is_one_sentence(project: Project, text: str, says: str) -> None:
    message = project.write("bentofile.yaml", text).refuses()
    assert says in message
    assert message.startswith("bentofile.yaml")
    assert "\n" not in message


def test_what_yaml_reads_as_no_text_is_bentomls_text(project: Project) -> None:
    text = """
service: a:B
labels: {flag: true, none: null, half: 1.5}
envs: [{name: A, value: true}]
docker: {python_version: 3.11, cuda_version: 12.1, env: {B: false}}
"""
    config = project.write("bentofile.yaml", text).load()
    assert config.labels == {"flag": "True", "none": "None", "half": "1.5"}
    assert config.envs == (EnvironmentVariable("A", "True"),)
    assert config.python_version == "3.11"
    assert config.docker.cuda_version == "12.1.1"
    assert config.docker.env == {"B": "False"}


def test_packages_of_conda_are_pips(project: Project) -> None:
    text = """
service: a:B
conda:
  channels: [conda-forge, pytorch]
  dependencies:
    - python=3.12
    - numpy=1.26
    - conda-forge::h5py==3.11.0
    - pandas >=2,<3
    - scipy 1.14 py311_0
    - pytorch
    - pip
    - pip: ["idna>=3"]
  pip: [regex]
"""
    config = project.write("bentofile.yaml", text).load()
    assert config.python.packages == (
        *("numpy==1.26.*", "h5py==3.11.0", "pandas>=2,<3", "scipy==1.14.*", "torch", "idna>=3"),
        "regex",
    )
    assert config.python_version == "3.12"
    assert [warning for warning in config.warnings if "conda is not used" in warning]


class TestAnEnvironmentFileOfConda:
    TEXT = """
name: prod
channels: [conda-forge]
dependencies:
  - _libgcc_mutex=0.1=main
  - ca-certificates=2024.2.2
  - python=3.11.8=hab00c5b_0_cpython
  - numpy=1.26.4=py311h64a7726_0
  - libblas=3.9.0
  - openssl=3.2.1
  - pip=24.0
  - pip:
    - idna==3.7
    - -r more.txt
prefix: /opt/conda/envs/prod
"""

    def test_gives_its_packages_of_python(self, project: Project) -> None:
        project.write("env/conda.yml", self.TEXT)
        project.write(
            "bentofile.yaml",
            "service: a:B\npython: {packages: [regex]}\n"
            "conda: {environment_yml: env/conda.yml, dependencies: [scipy]}",
        )
        config = with_conda_file(project.path, project.load())
        assert config.python.packages == ("regex", "numpy==1.26.4.*", "idna==3.7")
        assert config.python.requirements_files == ("env/more.txt",)
        assert config.python_version == "3.11"
        ignored, installed, left_out = config.warnings
        assert ignored == "bentofile.yaml: conda: environment_yml stands for the whole section."
        assert installed.startswith("env/conda.yml: conda is not used: pip installs numpy==1.26")
        assert "_libgcc_mutex, ca-certificates, libblas, openssl are no Python" in left_out

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (None, "There is no file"),
            ("- numpy", "it is no mapping"),
            ("dependencies: [{npm: [x]}]", "a mapping among the dependencies"),
            ("dependencies: numpy", "dependencies: Input should be a valid list"),
            ("dependencies: [", "is not valid YAML"),
        ],
    )
    def test_that_is_none_is_said(self, project: Project, text: str | None, why: str) -> None:
        if text is not None:
            project.write("conda.yml", text)
        project.write("bentofile.yaml", "service: a:B\nconda: {environment_yml: conda.yml}")
        config = project.load()
        with pytest.raises(UserError, match=why) as caught:
            with_conda_file(project.path, config)
        assert "conda.yml" in str(caught.value)


def test_a_service_that_is_named_needs_no_build_file(project: Project) -> None:
    project.write("app.py", "").write("requirements.txt", "six")
    config = load_config(project.path, project.home, service="app.py:Svc")
    assert (config.origin, config.service) == ("app.py", "app.py:Svc")
    assert "bentofn build FILE.py:MyClass" in project.refuses()


def test_a_service_that_is_named_counts_over_the_build_file(project: Project) -> None:
    project.write("bentofile.yaml", "service: a:B\nname: n")
    assert load_config(project.path, project.home, service="app.py:Svc").service == "app.py:Svc"
    assert project.load().service == "a:B"
    project.write("bentofile.yaml", "name: n")
    assert load_config(project.path, project.home, service="app.py:Svc").name == "n"


def test_options_of_later_versions_are_kept_and_said(project: Project) -> None:
    text = """
service: a:B
python: {lock_packages: false, pip_args: "--no-deps"}
args: {x: 1}
"""
    config = project.write("bentofile.yaml", text).load()
    assert not config.python.is_locked
    for key in ("args",):
        assert any(key in warning for warning in config.warnings), key
    assert any("--no-deps" in warning for warning in config.warnings)


def test_a_lone_service_has_defaults(project: Project) -> None:
    config = project.write("service.py", "").load()
    assert config.service == "service.py"
    assert config.include == ("*",)


def test_an_empty_bentofile_takes_service_py(project: Project) -> None:
    project.write("service.py", "").write("bentofile.yaml", "")
    assert project.load().service == "service.py"


def test_nothing_to_build_says_what_to_write(project: Project) -> None:
    assert 'service: "service:MyClass"' in project.refuses()


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a directory"):
        load_config(tmp_path / "absent", Home(tmp_path / "home"))


@pytest.mark.parametrize("tool", ["bentofn", "bentoml"])
def test_pyproject(project: Project, tool: str) -> None:
    text = f"""
[project]
name = "my-service"
dependencies = ["numpy>=2"]
[tool.{tool}.build]
service = "service:Svc"
[tool.{tool}.build.python]
packages = ["idna"]
"""
    config = project.write("pyproject.toml", text).write("service.py", "").load()
    assert config.name == "my-service"
    assert config.python.packages == ("numpy>=2", "idna")
    assert config.source_root == ""


def test_pyproject_of_a_src_layout(project: Project) -> None:
    text = "[tool.bentofn.build]\nlabels = {a = 'b'}\n"
    config = project.write("pyproject.toml", text).write("src/service.py", "").load()
    assert config.source_root == "src"
    assert config.service == "service.py"


def test_pyproject_without_a_build_table_gives_dependencies(project: Project) -> None:
    project.write("pyproject.toml", "[project]\nname = 'x'\ndependencies = ['idna']\n")
    assert project.write("service.py", "").load().python.packages == ("idna",)


def test_a_mistake_in_pyproject_names_the_table(project: Project) -> None:
    project.write("pyproject.toml", "[tool.bentofn.build]\nservic = 'x'\n")
    assert project.refuses().startswith("pyproject.toml [tool.bentofn.build]: unknown key")


def test_malformed_toml(project: Project) -> None:
    project.write("pyproject.toml", "[tool.bentofn.build\n")
    assert "pyproject.toml is not valid TOML" in project.refuses()


def test_a_bentofile_comes_before_pyproject(project: Project) -> None:
    project.write("pyproject.toml", "[tool.bentofn.build]\nservice = 'toml:A'\n")
    assert project.write("bentofile.yaml", "service: yaml:A").load().service == "yaml:A"


def test_another_file_on_request(project: Project) -> None:
    project.write("other.yaml", "service: other:A").write("bentofile.yaml", "service: a:B")
    assert project.load(project.path / "other.yaml").service == "other:A"


def test_a_config_survives_json(project: Project) -> None:
    config = project.write("bentofile.yaml", FULL).load()
    assert BuildConfig.from_plain(json.loads(json.dumps(config.to_plain()))) == config


class TestPackagesThatNothingNames:
    def test_are_those_of_the_requirements_file(self, project: Project) -> None:
        project.write("bentofile.yaml", "service: service:X").write("requirements.txt", "six")
        config, notes = with_requirements_file(project.path, project.load())
        assert config.python.requirements_files == ("requirements.txt",)
        (note,) = notes
        assert "bentofile.yaml names no Python packages" in note

    @pytest.mark.parametrize(
        "python",
        ["packages: [numpy]", "requirements_txt: other.txt", "wheels: [x-1-py3-none-any.whl]"],
    )
    def test_are_none_where_the_build_file_names_some(self, project: Project, python: str) -> None:
        project.write("bentofile.yaml", f"service: service:X\npython: {{{python}}}")
        project.write("requirements.txt", "six")
        config = project.load()
        assert with_requirements_file(project.path, config) == (config, ())

    def test_are_none_without_that_file(self, project: Project) -> None:
        config = project.write("bentofile.yaml", "service: service:X").load()
        assert with_requirements_file(project.path, config) == (config, ())
