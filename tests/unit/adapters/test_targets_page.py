"""docs/targets.md is what the adapters' tables say."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from bentofn.adapters.capabilities import Capabilities
from bentofn.adapters.fields import NAMES
from bentofn.commands.targets import page
from bentofn.packager.home import Home

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def tables(tmp_path: Path) -> list[Capabilities]:
    """Those of the adapters that this checkout declares, whether or not it was installed since."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    found = []
    for _, point in sorted(project["entry-points"]["bentofn.adapters"].items()):
        module, name = point.split(":")
        adapter = getattr(importlib.import_module(module), name)(Home(tmp_path))
        found.append(adapter.capabilities)
    return found


def test_the_page_is_up_to_date(tables: list[Capabilities]) -> None:
    text = (REPOSITORY / "docs" / "targets.md").read_text()
    assert text == page(tables) + "\n", "Write it: bentofn targets --markdown > docs/targets.md"


def test_every_table_has_every_field(tables: list[Capabilities]) -> None:
    for table in tables:
        fields = {entry.field for entry in table.entries}
        assert set(NAMES) <= fields, f"{table.target}: {set(NAMES) - fields} are missing"
