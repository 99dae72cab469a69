"""Imports go one way: cli -> adapters -> packager -> runtime."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FORBIDDEN = {
    "runtime": {"packager", "adapters", "templates", "cli", "commands"},
    "packager": {"adapters", "cli", "commands"},
    "adapters": {"cli", "commands"},
}
# The SDK's model store is the packager's; in an instance the models are beside the code.
ALLOWED = {("runtime/models.py", "packager")}
CLOUD = {
    "boto3",
    "botocore",
    "modal",
    "ray",
    "kubernetes",
    "google",
    "runpod",
    "aws_lambda_powertools",
}
# What only a function on Lambda loads, from its layer or from Lambda's own runtime.
ALLOWED_CLOUD = {
    ("runtime/aws_lambda", "aws_lambda_powertools"),
    ("runtime/aws_lambda", "boto3"),  # of Lambda itself
    ("runtime/weights/sources", "boto3"),  # where weights are named by s3://
    ("runtime/weights/sources", "botocore"),
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(room: str) -> list[Path]:
    return sorted((REPOSITORY / room).rglob("*.py"))


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules(room)
        for name in imports(path)
        if name.startswith("bentofn.")
        and (target := name.split(".")[1]) in FORBIDDEN[room]
        and (str(path.relative_to(REPOSITORY)), target) not in ALLOWED
    ]
    assert wrong == []


def test_the_runtime_imports_no_cloud_sdk() -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules("runtime")
        for name in imports(path)
        if (sdk := name.split(".")[0]) in CLOUD
        and (str(path.parent.relative_to(REPOSITORY)), sdk) not in ALLOWED_CLOUD
    ]
    assert wrong == []
