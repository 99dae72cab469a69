"""docs/testing.md does what it says; so do the sources that it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.testing import DeployedFunction

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "testing.md"
SERVERLESS = """
service: greetings
provider: {name: aws}
functions:
  first: {handler: x.y, memorySize: 300}
  second: {handler: x.y, memorySize: 600}
custom: {bentofn: {functions: {first: {project: .}, second: {project: .}}}}
"""


def write_files(folder: Path) -> None:
    """The files of the guide, each under the name that stands before it."""
    text = DOCUMENT.read_text()
    for name, content in re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", text, re.M | re.S):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def test_the_tests_of_the_guide_pass(pytester: pytest.Pytester) -> None:
    write_files(pytester.path)
    pytester.runpytest_subprocess(timeout=300).assert_outcomes(passed=5)


def test_a_function_of_a_project_is_named_and_its_bento_has_a_tag(
    deploy: Callable[..., DeployedFunction], tmp_path: Path, user_home: Home
) -> None:
    write_files(tmp_path)
    project = tmp_path / "greeter"
    (project / "serverless.yml").write_text(SERVERLESS)
    with pytest.raises(UserError, match="several functions; name one of: first, second"):
        deploy(project, snapshot="none")
    second = deploy(project, "second", snapshot="none")
    assert second.client().greet(name="Ada") == "Hello, Ada!"
    tag = next(entry.tag for entry in Store(user_home).list("bento") if entry.name == "greeter")
    tagged = deploy(tag, "tagged", snapshot="none")
    assert tagged.client().lengths(texts=["a", "bc"]) == [1, 2]
