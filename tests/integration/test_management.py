"""What a script does with bentos, by the names that BentoML has for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bentofn
from bentofn import bentos
from bentofn.exceptions import InvalidArgument, NotFound, UnservableException
from bentofn.runtime.management.command import run

SERVICE = """
import bentoml

args = bentoml.use_arguments()

@bentoml.service
class Greeter:
    @bentoml.api
    def greet(self, name: str) -> str:
        return f"{getattr(args, 'word', 'Hello')}, {name}"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home, so that the runtime's packages are installed once."""
    return tmp_path_factory.mktemp("management") / "home"


@pytest.fixture
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOFN_HOME", str(home))
    monkeypatch.delenv("PORT", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "service.py").write_text(SERVICE)
    return folder


def test_a_bento_is_built_listed_exported_and_deleted(project: Path, tmp_path: Path) -> None:
    built = bentofn.build(
        "service:Greeter", name="scripted", labels={"a": "b"}, build_ctx=str(project)
    )
    assert built.tag.name == "scripted"
    assert [each.tag for each in bentofn.list("scripted")] == [built.tag]
    assert bentofn.list(bentofn.Tag("scripted", "none")) == []
    shown = bentofn.get(built.tag)
    assert shown.digest == built.digest
    assert shown.info["manifest"]["labels"] == {"a": "b"}
    file = bentofn.export_bento(built.tag, str(tmp_path / "scripted.tar"))
    bentofn.delete(built.tag)
    with pytest.raises(NotFound):
        bentofn.get(built.tag)
    assert bentofn.import_bento(file).digest == built.digest


def test_a_build_tells_what_of_a_configuration_has_no_effect(project: Path) -> None:
    text = SERVICE.replace("@bentoml.service", '@bentoml.service(worker=1, grpc={"enabled": True})')
    (project / "service.py").write_text(text)
    for _ in range(2):
        warnings = run("build", str(project))["warnings"]
        assert any("key 'worker' in @bentofn.service is ignored; did you" in w for w in warnings)
        assert any("Greeter: grpc.enabled in @bentofn.service has no effect" in w for w in warnings)
        (project / "notes.txt").write_text("so that it is built again")


def test_a_build_does_not_read_the_variables_of_its_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_CONFIG_OPTIONS", "services.traffic.timeout=7")
    built = bentofn.build("service:Greeter", name="elsewhere", build_ctx=str(project))
    assert "timeout" not in json.dumps(bentofn.get(built.tag).info["manifest"])


def test_what_cannot_be_done_is_a_sentence(project: Path) -> None:
    (project / "service.py").unlink()
    with pytest.raises(InvalidArgument, match=r"service\.py"):
        bentos.build_bentofile(build_ctx=str(project))
    with pytest.raises(InvalidArgument, match="leave out protocol"):
        bentofn.import_bento("file", protocol="s3")


def test_a_server_is_started_and_stopped(project: Path) -> None:
    with (
        bentofn.serve(
            "service.py:Greeter", working_dir=str(project), port=0, args={"word": "Good day"}
        ) as server,
        server.get_client() as client,
    ):
        assert client.call("greet", name="you") == "Good day, you"
    assert server.process.returncode == 0
    with pytest.raises(UnservableException, match="status 1"):
        bentofn.serve("service:Missing", working_dir=str(project), port=0)


def test_a_projects_service_is_loaded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "service", raising=False)
    assert bentofn.load("service:Greeter", working_dir=str(project)).name == "Greeter"
    monkeypatch.delitem(sys.modules, "service", raising=False)
