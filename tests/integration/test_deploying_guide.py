"""Every shell command of docs/deploying.md works, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.spec import read_spec
from bentofn.packager.home import Home

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = pytest.mark.slow


def test_every_command_of_the_guide_works(tmp_path: Path) -> None:
    text = (DOCS / "deploying.md").read_text()
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    home = tmp_path / "home"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BENTOFN_HOME": str(home),
    }
    script = "bentofn emulator start --port 0\n" + commands
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    finally:
        daemon.stop(Home(home))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+ function: hello" in done.stdout
    assert "Hello, world!" in done.stdout


def test_the_example_of_serverless_yml_is_one(tmp_path: Path) -> None:
    text = (DOCS / "serverless-yml.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "serverless.yml").write_text(example)
    (tmp_path / "models" / "embed").mkdir(parents=True)
    for target, gpu in (("modal", "L4"), ("local", None), ("aws-lambda", None)):
        spec = read_spec(tmp_path / "serverless.yml", {"TOKEN": "x"}, target)
        assert spec.functions["embed"].settings.gpu == gpu
