"""The file in a function's zip that Lambda calls."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.code.bytecode import compile_files
from bentofn.packager.environment.target import Target
from bentofn.runtime.aws_lambda.zipped import LAYERED
from bentofn.runtime.layout import ARCHIVE_PREFIX

MODULE = "bentofn_function"
HANDLER = f"{MODULE}.handler"

SOURCE = f'''\
"""The bento in this function and its layers. Written by bentofn."""

import os
import sys

sys.path.insert(0, os.environ.get("BENTOFN_ROOT", "{LAYERED}") + "/runtime")

from bentofn.runtime.aws_lambda.zipped import start

handler = start(os.path.dirname(os.path.abspath(__file__)))
'''


def function_files(target: Target, scratch: Path) -> dict[str, bytes]:
    """That file and its bytecode, by their paths in the function's zip.

    Args:
        target: Whose interpreter compiles.
        scratch: A temporary folder.
    """
    source = scratch / f"{MODULE}.py"
    source.write_text(SOURCE)
    [compiled], _ = compile_files({source.name: source}, "src", target, scratch / "bytecode")
    assert isinstance(compiled.source, Path)
    path = compiled.path.removeprefix(f"{ARCHIVE_PREFIX}/src/")
    return {source.name: SOURCE.encode(), path: compiled.source.read_bytes()}
