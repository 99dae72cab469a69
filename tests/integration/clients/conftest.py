"""A service that runs, and what compiles TypeScript."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serve_command import said_url

HERE = Path(__file__).parent
TYPESCRIPT = "typescript@5.9.3"

Compile = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the shop answers."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(HERE / "shop.py", folder)
    environment = {**os.environ, "BENTOFN_HOME": str(folder / "home"), "BENTOFN_STATE": str(folder)}
    with said_url(folder, ("serve", "shop:Shop", "--port", "0"), environment) as found:
        yield found


@pytest.fixture(scope="session")
def compile_typescript(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles the files of a folder, as strictly as TypeScript can; skips where it is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node with npm")
    folder = tmp_path_factory.mktemp("typescript")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), TYPESCRIPT]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {TYPESCRIPT}: {done.stderr.strip()[-200:]}")
    flags = [
        *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
        *("--noUnusedLocals", "--noUnusedParameters", "--noImplicitReturns"),
        *("--noPropertyAccessFromIndexSignature", "--isolatedModules", "--verbatimModuleSyntax"),
        *("--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"),
        *("--lib", "es2022,dom,dom.iterable"),
    ]

    def compile_folder(project: Path) -> subprocess.CompletedProcess[str]:
        (project / "package.json").write_text('{"type": "module"}')
        tsc = folder / "node_modules" / "typescript" / "bin" / "tsc"
        files = sorted(str(path) for path in project.glob("*.ts"))
        return subprocess.run(
            ["node", str(tsc), *flags, *files], capture_output=True, text=True, check=False
        )

    return compile_folder
