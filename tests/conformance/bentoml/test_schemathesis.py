"""Schemathesis sends whatever a service's document allows and much that it does not: no answer is
5xx."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

HERE = Path(__file__).parent
WITHOUT = {
    "busy": "waits as long as it is asked to",
    "tables": "multiplies whatever a table holds; its twins in echoes do not",
}
"""Cases of which nothing is asked, and why."""

CASES = sorted({path.stem for path in (HERE / "cases").glob("*.py")} - WITHOUT.keys())
PREFIX = {"prefixed_commands": "/v1", "surroundings": "/v1"}
EXAMPLES = 8
"""For each operation; the coverage phase adds its own."""

TOTAL = "echoes has its twin, which does not fail for some of what its types allow"
MEANT = "its purpose is to fail"
WAITS = "its purpose is to wait"
FORWARDS = "calls what, and with what, it is asked to"

FAILING: Mapping[str, Mapping[str, str]] = {
    "arrays": {"root|table|tensor|twice": TOTAL},
    "batches": {"across|arrays": TOTAL, "breaks|short|fails": MEANT},
    "clients": {"transpose|grow|frame|nested|texts": TOTAL, "fail": MEANT},
    "contexts": {"writes": "answers with the status that it is asked for"},
    "declared": {"fails": MEANT},
    "dependencies": {
        "forward|in_parallel": FORWARDS,
        "too_slow": WAITS,
        "fails_later|one_fails|caught": MEANT,
    },
    "errors": {"fail|unserialisable|odd_header": MEANT, "slow": WAITS},
    "files": {"missing|folder": MEANT, "named|paints|letter|writes": TOTAL},
    "streams": {"breaks|wrong_chunk": MEANT},
    "tasks": {"unmakable": MEANT, "waits": WAITS},
    "values": {"bare|wrong_output": MEANT},
    "waiting": {"slow|awaited|items": WAITS},
}
"""Cases to the paths of their methods that are not asked, and why."""


def document(*operations: str) -> dict[str, Any]:
    """An OpenAPI document of a server that tells none.

    Args:
        *operations: The method and the path of each, with its parameters in braces.
    """
    anything = {"schema": {}}
    bytes_ = {"schema": {"type": "string", "format": "binary"}}
    body = {"content": {"application/json": anything, "application/octet-stream": bytes_}}
    paths: dict[str, Any] = {}
    for operation in operations:
        method, path = operation.split()
        found = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ]
        query = [{"name": "q", "in": "query", "schema": {"type": "string"}}]
        header = [{"name": "X-Given", "in": "header", "schema": {"type": "string"}}]
        described = {"parameters": [*found, *query, *header], "responses": {}}
        if method != "GET":
            described["requestBody"] = body
        paths.setdefault(path, {})[method.lower()] = described
    return {"openapi": "3.1.0", "info": {"title": "a", "version": "1"}, "paths": paths}


PROXIED = [f"{method} /{{a}}" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")]
DOCUMENTS = {
    "commands": document("POST /{a}/{b}", *PROXIED),
    "mounts": document(
        *("POST /hello", "POST /models/{model}/size", "PUT /items/{item}", "GET /inner/{a}"),
        *(f"{method} /{mount}/{{a}}" for mount in ("raw", "wsgi") for method in ("GET", "POST")),
    ),
    "prefixed_commands": document(*PROXIED),
}
"""Those of the cases whose ``/docs.json`` is that of another server or application."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_request_makes_a_server_error(
    case: str, ours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from schemathesis.cli import schemathesis

    monkeypatch.chdir(tmp_path)
    url = f"http://127.0.0.1:{ours}{PREFIX.get(case, '')}"
    where = [f"{url}/docs.json"]
    if case in DOCUMENTS:
        described = tmp_path / "docs.json"
        described.write_text(json.dumps(DOCUMENTS[case]))
        where = [str(described), "--url", url]
    command = ["run", *where, "--no-color", "--checks", "not_a_server_error"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", "1", "--request-timeout", "20"]
    command += ["--max-examples", str(EXAMPLES), "--suppress-health-check", "all"]
    if case in FAILING:
        command += ["--exclude-path-regex", "|".join(FAILING[case])]
    done = CliRunner().invoke(schemathesis, command)
    assert done.exit_code == 0, done.output[-6000:]
