from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.runtime import boot


def test_a_command_line_is_a_process_and_its_options() -> None:
    process, options = boot.parse(["instance", "--listen-fd", "3", "--control-fd", "4"])
    assert process == "instance"
    assert options == {"listen-fd": "3", "control-fd": "4"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected one of instance"),
        (["dance"], "expected one of instance"),
        (["template", "--listen-fd", "3"], "template takes no --listen-fd"),
        (["serve", "--port"], "--port needs a value"),
    ],
)
def test_wrong_usage_is_explained(argv: list[str], message: str) -> None:
    with pytest.raises(boot.UsageError, match=message):
        boot.parse(argv)


def test_the_root_follows_from_the_script_without_resolving_links(tmp_path: Path) -> None:
    script = "/opt/bento/runtime/bentofn/runtime/boot.py"
    assert boot.places({}, script) == {
        "source": "/opt/bento/src",
        "runtime": "/opt/bento/runtime",
        "env": "/opt/bento/env",
        "root": "/opt/bento",
    }
    assert boot.places({"root": str(tmp_path)}, script)["env"] == str(tmp_path / "env")
    assert boot.places({"source": "/code"}, script)["source"] == "/code"


def test_the_script_is_used_wrongly_with_exit_status_2() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", boot.__file__, "dance"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("boot.py: expected one of")


def test_only_the_bento_and_the_standard_library_are_importable(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    package = root / "runtime" / "bentofn" / "runtime"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "boot.py").write_bytes(Path(boot.__file__).read_bytes())
    (package / "server.py").write_text(
        "import json, os, sys\n"
        "def main(options):\n"
        "    print(json.dumps([sys.path, os.getcwd(), os.environ['BENTOFN_ROOT'],\n"
        "                      sys.dont_write_bytecode, options['port']]))\n"
        "    return 7\n"
    )
    (root / "env").mkdir()
    extra = tmp_path / "extra"
    extra.mkdir()
    (root / "env" / "more.pth").write_text(f"{extra}\n")

    done = subprocess.run(
        [sys.executable, "-I", "-S", package / "boot.py", "serve", "--port", "1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 7, done.stderr
    path, cwd, named_root, no_bytecode, port = __import__("json").loads(done.stdout)
    dropin = "runtime/bentofn/runtime/dropin"
    assert path[:4] == [str(root / name) for name in ("src", "runtime", dropin, "env")]
    assert path[-1] == str(extra)
    assert str(package) not in path
    assert not any("site-packages" in entry or "dist-packages" in entry for entry in path)
    assert cwd == str(root / "src")
    assert named_root == str(root)
    assert no_bytecode is True
    assert port == "1"
    assert not list(root.rglob("__pycache__"))
