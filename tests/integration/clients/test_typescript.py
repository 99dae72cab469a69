"""A TypeScript client, compiled by TypeScript itself and run against the service."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bentofn.packager.clients.interface import Described, Operation
from bentofn.packager.clients.typescript import typescript_client
from bentofn.packager.home import Home

HERE = Path(__file__).parent

NAMES = (
    *("constructor", "__proto__", "delete", "a-b", "Promise", "Error", "Task", "", "then"),
    *("*/ alert(1)", '"', "new\nline", "\u2028", "größe"),
)
FIELDS = {
    "type": "object",
    "properties": {
        name: {"description": name, "anyOf": [{"const": name}, {"$ref": "#/$defs/Record"}]}
        for name in NAMES
    },
}
DEFINITIONS = {
    "Record": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Record"}},
    "Blob": {"type": "array", "prefixItems": [{"type": "file"}, {"type": ["string", "null"]}]},
    "Tree": {"allOf": [{"$ref": "#/$defs/Blob"}, {"type": "tensor", "dtype": "float32"}]},
}
HOSTILE = tuple(
    Operation(
        name=name,
        route=f"/{{part:path}}/{number}/{{other}}" if not number % 3 else f"/{number}",
        doc=f"{name}\n*/",
        input={**FIELDS, "$defs": DEFINITIONS},
        output={"$ref": "#/$defs/Tree", "$defs": DEFINITIONS},
        is_root=number % 2 == 0,
        is_stream=number % 5 == 0,
        is_task=number % 3 == 1,
    )
    for number, name in enumerate(NAMES)
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_every_kind_of_call(
    url: str, bentofn: Run, compile_typescript: Run, tmp_path: Path
) -> None:
    shutil.copy(HERE / "check.ts", tmp_path)
    target = str(tmp_path / "client.ts")
    home = Home(tmp_path / "home").path
    said = bentofn("client", url, "--lang", "ts", "-o", target, home=home).stdout
    assert "a client of corner shop: bake, buy, count" in said
    compiled = compile_typescript(tmp_path)
    assert compiled.returncode == 0, compiled.stdout
    command = ["node", str(tmp_path / "check.js"), url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "total": 2.5,
        "price": [2, 1],
        "also": "leaf",
        "note": None,
        "shout": "É",
        "tags": {"apple": ["a", "b"]},
        "quoted": "<a>",
        "scaled": [[2, 4], [6, 8]],
        "uploaded": ["it's", "one", "two"],
        "downloaded": '{"is": "a file"}',
        "count": "0é 1é 2é ",
        "firsts": ["0é"],
        "aborted": ["AbortError"],
        "steps": [[0, '"}{['], [1, '"}{[é\\'], [2, '"}{[é\\é\\']],
        "data": [0, 255, 1],
        "status": "completed",
        "baked": ["bread", "bread"],
        "direct": ["bread"],
        "refused": [400, "not today", None],
        "busy": [429, "Too many", "r-1"],
        "invalid": 400,
        "unreachable": ["TypeError"],
        "shelf": "a b",
    }


def test_names_and_texts_that_would_break_a_file(compile_typescript: Run, tmp_path: Path) -> None:
    (tmp_path / "client.ts").write_text(typescript_client(Described("*/ 1", HOSTILE)))
    compiled = compile_typescript(tmp_path)
    assert compiled.returncode == 0, compiled.stdout
