"""Says what a service promises, and which files a start imports.

The packager runs it in the environment that it built: the contract goes into the manifest, and the
modules are those whose bytecode is worth shipping.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bentofn.runtime import asgi, lifecycle
from bentofn.runtime.contract import describe
from bentofn.runtime.manifest import canonical_json


def main(options: Mapping[str, str]) -> int:
    """The ``describe`` process: writes ``{"contract", "modules"}`` to ``--output`` or stdout.

    Without a ``bento.json`` yet, ``--service`` names the service. A service that cannot be
    described gives ``{"error"}`` and exit status 1.
    """
    answer: dict[str, object]
    try:
        contract = describe(lifecycle.load(options))
        _import_what_a_start_imports()
        answer = {"contract": asdict(contract), "modules": _modules(options)}
    except Exception as error:
        answer = {"error": lifecycle.explain(error)}
    _write(options.get("output"), canonical_json(answer))
    return 1 if "error" in answer else 0


def _import_what_a_start_imports() -> None:
    for process in ("instance", "template"):
        import_module(f"bentofn.runtime.{process}")
    asgi.configure(main)


def _modules(options: Mapping[str, str]) -> dict[str, str]:
    """Module name to file, as ``src/...``, ``runtime/...`` or ``env/...``, of what is loaded."""
    found = {}
    for name, module in list(sys.modules.items()):
        place = _place(getattr(module, "__file__", None), options)
        if place is not None:
            found[name] = place
    return found


def _place(file: object, options: Mapping[str, str]) -> str | None:
    for name, option in (("src", "source"), ("runtime", "runtime"), ("env", "env")):
        # The project's code is imported from its resolved path, the rest from where it is linked.
        for directory in (options[option], os.path.realpath(options[option])):
            if isinstance(file, str) and file.startswith(directory + os.sep):
                return name + file[len(directory) :]
    return None


def _write(output: str | None, data: bytes) -> None:
    if output is None:
        sys.stdout.buffer.write(data + b"\n")
        return
    target = Path(output)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(target)
