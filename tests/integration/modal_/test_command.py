"""The commands, in processes of their own, with the newest and the oldest client that is taken."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from modal_cloud import Cloud

from bentofn.packager.home import Home


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the oldest client."""
    folder = tmp_path_factory.mktemp("oldest")
    wanted = ["modal==1.5.4", "protobuf<7"]
    command = ["uv", "pip", "install", "--quiet", "--target", str(folder), *wanted]
    subprocess.run([sys.executable, "-m", *command, "--python", sys.executable], check=True)
    return str(folder)


@pytest.mark.parametrize("client", ["newest", pytest.param("oldest", marks=pytest.mark.slow)])
def test_a_function_from_its_plan_to_its_end(
    bentofn: Any, modal_home: Home, cloud: Cloud, client: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue("oldest") if client == "oldest" else ""

    def run(*arguments: str) -> Any:
        done = bentofn(
            *arguments, "--target", "modal", "--json", home=modal_home.path, PYTHONPATH=path
        )
        return json.loads(done.stdout)

    plan = run("plan", "greeter:1")
    assert json.dumps(plan).count('"create"') >= 1
    deployed = run("deploy", "greeter:1")
    assert '"version": 1' in json.dumps(deployed)
    assert '"changed": false' in json.dumps(run("deploy", "greeter:1")).lower()
    run("deploy", "greeter:2")
    assert [each["bento"] for each in run("versions", "greeter")] == ["greeter:1", "greeter:2"]
    assert '"greeter:1"' in json.dumps(run("rollback", "greeter"))
    assert '"state": "zero"' in json.dumps(run("status"))
    shown = bentofn("status", "--target", "modal", home=modal_home.path, PYTHONPATH=path).stdout
    assert "cost" not in shown  # Modal does not say it, and it is not 0
    header, row = shown.splitlines()[:2]
    assert row[header.index("REQUESTS") :].split()[0] == "-"
    assert run("destroy", "greeter") == {"destroyed": ["greeter"]}
    assert cloud.state.volumes == {}
    assert cloud.state.leftovers() == []
    wanted = "1.5.4" if client == "oldest" else version("modal")
    assert cloud.faults.clients == {wanted}


def test_a_client_that_is_missing_is_told_before_anything_is_built(
    bentofn: Any, modal_home: Home, tmp_path: Path
) -> None:
    (tmp_path / "modal-1.0.0.dist-info").mkdir()
    (tmp_path / "modal-1.0.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: modal\nVersion: 1.0.0\n"
    )
    for command in ("plan", "deploy"):
        done = bentofn(
            command, str(tmp_path), "--target", "modal",
            home=modal_home.path, PYTHONPATH=str(tmp_path), check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "pip install 'modal>=1.5.4,<1.7'" in done.stderr
        assert "Building" not in done.stderr


def test_commands_that_need_no_modal_import_none(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from bentofn.adapters.registry import get_adapter\n"
        "from bentofn.packager.home import Home\n"
        "from pathlib import Path\n"
        f"adapter = get_adapter('modal', Home(Path({str(tmp_path)!r})))\n"
        "assert adapter.capabilities.target == 'modal'\n"
        "assert not {'modal', 'grpclib', 'synchronicity'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
