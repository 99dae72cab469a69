from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.runtime import surface
from bentofn.runtime.errors import UserError
from bentofn.runtime.loading import load_service
from bentofn.runtime.service import Service

SERVICE = """
import bentofn

@bentofn.service
class Greeter:
    @bentofn.api
    def greet(self) -> str:
        return "hello"

class Plain: ...
"""


@pytest.fixture(autouse=True)
def _imports_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    brought = ("service", "second", "bentoml", "_bentoml_sdk", "_bentoml_impl")  # by other tests
    for name in [each for each in sys.modules if each.partition(".")[0] in brought]:
        monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != surface.dropin()])
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def project(path: Path, **files: str) -> Path:
    for name, text in files.items():
        file = path / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


@pytest.mark.parametrize(
    "target", ["service", "service:Greeter", "service.py", "service.py:Greeter"]
)
def test_the_forms_of_a_target(tmp_path: Path, target: str) -> None:
    service = load_service(target, project(tmp_path, service=SERVICE))
    assert (service.name, service.import_string) == ("Greeter", "service:Greeter")
    assert sys.path[0] == str(tmp_path)


def test_a_file_in_a_folder_is_a_module_of_it(tmp_path: Path) -> None:
    directory = project(tmp_path, inner__service=SERVICE)
    assert load_service("inner/service.py", directory).import_string == "inner.service:Greeter"
    assert load_service("inner.service:Greeter", directory).name == "Greeter"


def test_the_working_directory_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(tmp_path, service=SERVICE))
    assert load_service("service").name == "Greeter"


def test_two_projects_with_modules_of_one_name(tmp_path: Path) -> None:
    one = project(tmp_path / "one", service=SERVICE)
    other = project(tmp_path / "other", service=SERVICE.replace("Greeter", "Other"))
    assert load_service("service", one).name == "Greeter"
    assert load_service("service", other).name == "Other"


def test_an_imported_service_does_not_hide_the_modules_own(tmp_path: Path) -> None:
    second = "from service import Greeter\n" + SERVICE.replace("Greeter", "Mine")
    directory = project(tmp_path, service=SERVICE, second=second)
    assert load_service("second", directory).name == "Mine"


def test_the_service_that_no_other_depends_on_is_the_one(tmp_path: Path) -> None:
    outer = SERVICE.replace("Greeter", "Outer") + "    inner = bentofn.depends(Greeter)\n"
    directory = project(tmp_path, service=SERVICE + outer.replace("class Plain: ...", ""))
    assert load_service("service", directory).name == "Outer"


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("x = 1", "service", "service declares no service: decorate its class"),
        (
            SERVICE + SERVICE.replace("Greeter", "Other"),
            "service",
            "several services; say which one: service:Greeter or service:Other",
        ),
        (SERVICE, "service:Missing", "service has no service 'Missing'; it declares Greeter"),
        (SERVICE, "service:Plain", "the class Plain is not decorated with @bentofn.service"),
        ("x = 1", "service:Missing", "it declares none"),
        ("import no_such_package", "service", r"^service\.py:1: No module named 'no_such_package'"),
        ("\n\n1 / 0", "service", r"^service\.py:3: ZeroDivisionError: division by zero"),
        ("def broken(:", "service", r"^service\.py:1: SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "service", r"^service\.py:1: SystemExit: 3"),
        ("raise ValueError", "service", r"^service\.py:1: ValueError: no message"),
        (
            "import bentofn\n@bentofn.service(threads=0)\nclass A: ...",
            "service",
            # Python 3.10 applies a decorator on the line of the class.
            r"^service\.py:[23]: A: threads must be a positive whole number",
        ),
        ("", "absent", "There is no module 'absent' in"),
        ("", "absent.deep:A", "There is no module 'absent' in"),
        ("", "absent.py:A", "There is no absent.py in"),
        ("", "../outside.py", "outside.py is outside the project"),
    ],
)
def test_what_cannot_be_loaded(tmp_path: Path, text: str, target: str, message: str) -> None:
    (tmp_path / "outside.py").write_text("")
    directory = project(tmp_path / "project", service=text)
    with pytest.raises(UserError, match=message) as caught:
        load_service(target, directory)
    assert "\n" not in str(caught.value)


def test_an_error_in_a_helper_module_is_placed_there(tmp_path: Path) -> None:
    directory = project(tmp_path, service="import helper", helper="\nimport json\njson.loads('{')")
    with pytest.raises(UserError, match=r"^helper\.py:3: JSONDecodeError"):
        load_service("service", directory)


def test_the_sentence_of_an_error_has_one_full_stop(tmp_path: Path) -> None:
    directory = project(tmp_path, service="raise ValueError('No model; import one.')")
    with pytest.raises(UserError, match=r"import one, while importing 'service'\.$"):
        load_service("service", directory)


def test_a_service_that_imports_bentoml_is_bentofns(tmp_path: Path) -> None:
    service = load_service(
        "service", project(tmp_path, service=SERVICE.replace("bentofn", "bentoml"))
    )
    assert isinstance(service, Service)
    assert service.import_string == "service:Greeter"


BENTOML = "class Service: ...\ndef service(inner): return Service()"
ABSENT = "raise ModuleNotFoundError(\"No module named 'bentoml'\", name='bentoml')"


@pytest.mark.parametrize(
    ("bentoml", "message"),
    [
        (BENTOML, "service:A: A is a service of BentoML's own package; bentofn serves it by"),
        (ABSENT, "No module named 'bentoml'; bentofn serves it by its own bentoml where BENTOFN_"),
    ],
)
def test_bentomls_own_package_is_left_in_place_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bentoml: str, message: str
) -> None:
    monkeypatch.setenv("BENTOFN_STOCK", "1")
    service = "import bentoml\n@bentoml.service\nclass A: ..."
    with pytest.raises(UserError, match=message):
        load_service("service:A", project(tmp_path, service=service, bentoml=bentoml))


def test_a_file_whose_name_is_no_identifier(tmp_path: Path) -> None:
    (tmp_path / "my-service.py").write_text(SERVICE)
    assert load_service("my-service.py", tmp_path).name == "Greeter"
    (tmp_path / "my.service.py").write_text(SERVICE)
    with pytest.raises(UserError, match="rename it to a valid Python module name"):
        load_service("my.service.py", tmp_path)


def test_a_service_that_another_one_depends_on(tmp_path: Path) -> None:
    text = """
import bentofn

@bentofn.service
class One: ...

@bentofn.service
class Main:
    first = bentofn.depends(One)
"""
    folder = project(tmp_path, service=text)
    assert load_service("service:Main.first", folder).name == "One"
    with pytest.raises(UserError, match=r"has no service 'Main\.second'"):
        load_service("service:Main.second", folder)
