"""pytest finds the plugin by itself, and nothing of it is left."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import make_root

from bentofn.testing import wait_until

pytest_plugins = ["pytester"]

BROKEN = "raise RuntimeError('no weights here')"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, notes: Path) -> Iterator[Path]:
    """What the tests inside have for ``/tmp``; a short path, as sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("NOTES", str(notes))
        yield Path(folder)


def test_functions_are_there_for_one_test_and_the_platform_for_all(
    pytester: pytest.Pytester, temporary: Path
) -> None:
    pytester.makepyfile(
        """
        import os
        import pytest

        def test_one(deploy, bentofn_platform):
            notes = deploy(os.environ["NOTES"], snapshot="none")
            assert notes.post("/say", {"word": "one"}).text == "one"
            with open("url", "w") as file:
                file.write(bentofn_platform.url)

        def test_another(deploy, bentofn_platform):
            with open("url") as file:
                assert file.read() == bentofn_platform.url
            assert bentofn_platform.client.status() == []
            notes = deploy(os.environ["NOTES"], "other", snapshot="none")
            notes.assert_cold_starts(1)

        def test_a_setting_that_there_is_not(deploy):
            with pytest.raises(TypeError, match="idle"):
                deploy(os.environ["NOTES"], idle=3)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=120)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E *AssertionError: other: 0 cold starts, not 1: none"])
    wait_until(lambda: not list(temporary.iterdir()), what="an empty folder")


def test_a_platform_ends_with_the_tests_that_were_killed(
    pytester: pytest.Pytester, temporary: Path
) -> None:
    path = pytester.makepyfile(
        """
        import os
        import time

        def test_it(deploy, bentofn_platform):
            deploy(os.environ["NOTES"], snapshot="none", min_instances=1)
            pids = [str(each.pid) for each in bentofn_platform.client.status()[0].instances]
            with open("pids", "w") as file:
                file.write("\\n".join(pids))
            os.rename("pids", "ready")
            time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-m", "pytest", str(path)]) as running:
        wait_until((pytester.path / "ready").exists, 120)
        running.kill()
    pids = (pytester.path / "ready").read_text().split()
    assert pids
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="their end")


def test_what_a_function_wrote_is_shown_of_a_test_that_failed(
    pytester: pytest.Pytester, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", str(make_root(tmp_path / "broken", BROKEN)))
    pytester.makepyfile(
        """
        import os

        def test_deployment(deploy):
            deploy(os.environ["BROKEN"], snapshot="none")

        def test_answer(deploy):
            notes = deploy(os.environ["NOTES"], snapshot="none")
            assert notes.post("/say", {"word": "lorem"}).text == "ipsum"
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=120)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *UserError: test does not start:*", "*no weights here*"])
    result.stdout.fnmatch_lines(["*Captured stdout teardown*", "v1-* somebody said lorem"])


def test_tests_that_ask_for_no_platform_load_nothing_of_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            own = {name for name in sys.modules if name.partition(".")[0] == "bentofn"}
            assert own == {"bentofn", "bentofn._testing", "bentofn._testing.plugin"}
        """
    )
    pytester.runpytest_subprocess(timeout=60).assert_outcomes(passed=1)
