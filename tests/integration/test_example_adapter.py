"""examples/adapter as somebody else's package: what its README says works, the suite too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "adapter"

pytestmark = pytest.mark.slow


def test_every_command_of_the_examples_readme_works(tmp_path: Path, wheel: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    folder = tmp_path / "folder"
    left_out = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(EXAMPLE, folder / "examples" / "adapter", ignore=left_out)
    text = (EXAMPLE / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    find_links = f"{wheel.parent} {os.environ.get('PIP_FIND_LINKS', '')}".strip()
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_FIND_LINKS": find_links,
        "BENTOFN_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(["pip install --quiet pytest", *blocks])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert re.search(r"^folder +\d+ +\d+ +\d+ +\d+$", said, re.MULTILINE)
    assert "Hello, world!" in said
    assert "hello on folder: changes" in said
