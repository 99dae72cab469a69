"""The drop-in: each name of BentoML's is there, or its absence says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bentofn
from bentofn.runtime import surface

NAMES = sorted(surface.HOMES)
SUBMODULES = sorted(surface.MODULES)


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the drop-in on the import path, as a bento's processes have it."""
    where = f"import sys; sys.path.insert(0, {surface.dropin()!r})\n"
    return subprocess.run(
        [sys.executable, "-c", where + code], capture_output=True, text=True, timeout=60
    )


def test_every_name_is_the_one_of_bentofn() -> None:
    code = (
        "import bentofn, bentoml\n"
        f"for name in {NAMES}:\n"
        "    assert getattr(bentoml, name) is getattr(bentofn, name), name\n"
        f"for module in {SUBMODULES}:\n"
        "    ours, theirs = getattr(bentofn, module), getattr(bentoml, module)\n"
        "    for name in ours.__all__:\n"
        "        assert getattr(ours, name) is getattr(theirs, name), name\n"
        "print(bentoml.__version__, bentoml.__bentofn_version__)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [surface.BENTOML_VERSION, bentofn.__version__]


def test_every_absent_name_says_what_to_do_instead() -> None:
    code = (
        "import bentoml, importlib\n"
        f"for name, instead in {dict(surface.ABSENT)}.items():\n"
        "    for statement in (f'bentoml.{name}', f'from bentoml import {name}',\n"
        "                      f'import bentoml.{name}'):\n"
        "        try:\n"
        "            exec(statement)\n"
        "        except (AttributeError, ImportError) as error:\n"
        "            assert instead in str(error), error\n"
        "        else:\n"
        "            raise SystemExit(statement)\n"
        "    assert not hasattr(bentoml, name)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_no_name_is_there_and_absent() -> None:
    assert not surface.ABSENT.keys() & {*surface.HOMES, *surface.MODULES}


def test_a_name_that_bentoml_does_not_have() -> None:
    with pytest.raises(AttributeError, match="module 'bentofn' has no attribute 'nonsense'"):
        bentofn.nonsense  # noqa: B018
    assert (
        "ImportError: cannot import name 'nonsense'" in run("from bentoml import nonsense").stderr
    )


def test_a_submodule_for_each_that_the_table_names() -> None:
    folder = Path(surface.dropin()) / "bentoml"
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *surface.MODULES}
