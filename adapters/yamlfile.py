"""Reads a YAML file in which CloudFormation's tags may stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bentofn.runtime.errors import UserError


def read_yaml(path: Path) -> Any:
    """Read a file; JSON is YAML too.

    Args:
        path: The file. ``!Ref X`` in it becomes ``{"Ref": "X"}``, and so with the other tags.

    Raises:
        UserError: It is not YAML; says the file and the line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _CloudFormationLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UserError(f"{path.name}{line}: not valid YAML: {problem}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name}: it is not UTF-8 text; save it as UTF-8.") from error


class _CloudFormationLoader(yaml.SafeLoader):
    """Safe YAML in which ``!Ref``, ``!Sub`` and their like stand for what they tag."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_CloudFormationLoader.add_multi_constructor("!", _tagged)
