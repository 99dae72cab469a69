"""Runs another script and notes which files it opened; by the interpreter that runs the service.

    python -I -S -u audit_script.py OUTPUT SCRIPT [ARGUMENT]...

It is for machines where no file system of our own can be mounted. It sees whole files and no
``stat``, which is enough: what is only looked up costs no bytes. Standard library only.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main(argv: list[str]) -> None:
    """Run the script, then write the list of paths to OUTPUT."""
    output, script = argv[0], argv[1]
    paths: set[str] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "ctypes.dlopen") and arguments and isinstance(arguments[0], str):
            paths.add(os.path.abspath(arguments[0]))  # noqa: PTH100 - pathlib would be traced too

    sys.argv = [script, *argv[2:]]
    sys.addaudithook(hook)
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        paths.update(mapped())
        with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
            json.dump(sorted(paths), file)


def mapped() -> list[str]:
    """The files that are mapped into this process, such as shared libraries; Linux only."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123
            return [line.split(None, 5)[-1].rstrip("\n") for line in maps if "/" in line]
    except OSError:
        return []


if __name__ == "__main__":
    main(sys.argv[1:])
