"""What the pages of docs/ show of serverless.yml is read as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentofn.adapters.spec import read_spec

DOCS = Path(__file__).resolve().parents[3] / "docs"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def shown(page: Path) -> dict[str, Any]:
    """All that a page shows, as one file: what stands in two places adds up."""
    found: dict[str, Any] = {}
    for block in BLOCK.findall(page.read_text()):
        document = yaml.safe_load(block)
        if document.keys() & {"functions", "custom"}:
            merge(found, document)
    return found


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


PAGES = [page for page in sorted(DOCS.glob("*.md")) if shown(page)]


@pytest.mark.parametrize("target", ["local", "aws-lambda", "modal"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_of_the_file_is_read(page: Path, target: str, tmp_path: Path) -> None:
    ours = {"custom": {"bentofn": {"functions": {}}}}
    document = {"service": "docs", "provider": {"name": "aws"}, "functions": {}, **ours}
    merge(document, shown(page))
    own = document["custom"]["bentofn"]["functions"]
    for name in (*own, "report"):  # what a destination names
        document["functions"].setdefault(name, {"handler": "bentofn.runtime.aws_lambda.handler"})
    for each in own.values():
        (tmp_path / each.get("project", ".")).mkdir(parents=True, exist_ok=True)
    path = tmp_path / "serverless.yml"
    path.write_text(yaml.safe_dump(document))
    functions = read_spec(path, {}, target).functions
    assert functions.keys() == document["functions"].keys()
    for each in functions.values():
        each.check()


def test_there_are_pages() -> None:
    assert {"aws-lambda", "modal", "serverless-yml", "schedules"} <= {page.stem for page in PAGES}
