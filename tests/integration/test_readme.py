"""Every shell command of the README works as written, with nothing but the wheel installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.packager.build import BuildResult
from bentofn.packager.home import Home

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_RUN = {"make test": "it is what runs this test"}

pytestmark = pytest.mark.slow


def blocks() -> list[str]:
    """The README's shell blocks, in order."""
    text = (REPOSITORY / "README.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def lend_layers(lender: Home, borrower: Home) -> None:
    """Spare a home the packing of environments that another has packed; its bentos are not lent."""
    left_out = shutil.ignore_patterns("builds")
    for parts in (lambda home: home.store / "blobs", lambda home: home.cache):
        shutil.copytree(parts(lender), parts(borrower), copy_function=os.link, ignore=left_out)


def test_every_command_of_the_readme_works(
    tmp_path: Path, wheel: Path, example_home: Home, example: BuildResult
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    lend_layers(example_home, Home(tmp_path / "home"))
    find_links = f"{wheel.parent} {os.environ.get('PIP_FIND_LINKS', '')}".strip()
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_FIND_LINKS": find_links,
        "BENTOFN_HOME": str(tmp_path / "home"),
    }
    commands = "\n".join(block for block in blocks() if block.strip() not in NOT_RUN)
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", commands],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    finally:
        command = tmp_path / "venv" / "bin" / "bentofn"
        subprocess.run([command, "emulator", "stop"], env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Hello, world!" in done.stdout
    assert "largest batch" in done.stdout
