"""``custom.bentofn.functions.NAME.PROFILE``: the function's own values of a profile's constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bentofn.adapters.local.core.constants import Constant, read_tables
from bentofn.adapters.local.core.tuning import BUFFER, tunable
from bentofn.adapters.yamltree import Node


def read_tuning(custom: Node, profiles: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Read them, by profile.

    Args:
        custom: The function's section of ours.
        profiles: The profiles that may have a section in it.

    Raises:
        UserError: A constant cannot be set, or not to this.
    """
    return {name: _section(custom[name], name) for name in profiles if custom[name].keys()}


def _section(node: Node, profile: str) -> Mapping[str, Any]:
    known = {name: each for name, each in tunable(read_tables(profile)).items() if name != BUFFER}
    node.only(list(known))
    return {name: _read(node[name], known[name]) for name in node.keys()}  # noqa: SIM118 - no mapping


def _read(node: Node, constant: Constant) -> Any:
    usual = constant.value
    if constant.choices:
        return node.choice(*constant.choices)
    if isinstance(usual, bool):
        return node.boolean(default=usual)
    if isinstance(usual, int):
        return node.integer(default=usual, least=1)
    return node.number(default=usual, above=0)
