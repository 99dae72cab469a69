"""Says what a service promises, and which files a start imports.

The packager runs it in the environment that it built: the contract goes into the manifest, and the
files are those whose bytecode is worth shipping. They are those that the interpreter executes, not
those that ``sys.modules`` names in the end: a module may fail to import, or put another object in
its own place there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bentofn.runtime.service import Service


def main(options: Mapping[str, str]) -> int:
    """The ``describe`` process: writes a service's description to ``--output`` or stdout.

    It is ``{"contract", "files", "exports", "notes"}``. Without a ``bento.json`` yet,
    ``--service`` names the service. ``--late`` lists what its functions import. A service that
    cannot be described gives ``{"error"}`` and exit status 1.
    """
    executed = _watch()
    # Imported from here on, so that what they import is seen.
    from bentofn.runtime import lifecycle
    from bentofn.runtime.contract import describe
    from bentofn.runtime.manifest import canonical_json

    answer: dict[str, object]
    try:
        with warnings.catch_warnings(record=True) as caught:
            service = lifecycle.load(options)
        contract = describe(service)
        services = service.all_services(exclude_urls=True).values()
        models = [model for each in services for model in each.models]
        exports = [asdict(model.export) for model in models if model.export]
        import_what_a_start_imports(onnx=bool(exports))
        if contract.services:
            for module in ("proxy.answering", "proxy.sibling", "supervisor.run"):
                import_module(f"bentofn.runtime.{module}")
        _import_surroundings([*services])
        _import_late(filter(None, options.get("late", "").split(",")))
        places = {_place(file, options) for file in tuple(executed)}
        files = sorted(filter(None, places))
        answer = {"contract": asdict(contract), "files": files, "exports": exports}
        answer["notes"] = [*_notes(service), *_said(caught)]
    except Exception as error:
        answer = {"error": lifecycle.explain(error)}
    _write(options.get("output"), canonical_json(answer))
    return 1 if "error" in answer else 0


def _notes(service: Service[Any]) -> Iterator[str]:
    """What the user should know of a service, one sentence each."""
    if not (service.apis or service.mounts or service.has_custom_command()):
        yield f"{service.name} has no method with @api, so nothing of it can be called."


def _said(caught: Iterable[warnings.WarningMessage]) -> list[str]:
    """The warnings of the configuration, which the import of another module may have repeated."""
    from bentofn.runtime.config import ConfigWarning

    return list(dict.fromkeys(str(w.message) for w in caught if w.category is ConfigWarning))


def _watch() -> set[str]:
    """The files of the modules that are loaded, and of those that are executed later; it grows."""
    executed = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        # Raised by the import system's exec() of a module, with its code object:
        # https://docs.python.org/3/library/audit_events.html
        if event == "exec":
            executed.add(getattr(arguments[0], "co_filename", ""))

    sys.addaudithook(hear)
    return executed


def import_what_a_start_imports(*, onnx: bool) -> None:
    """Import what a start does besides the service, and what answers the first ``/metrics``."""
    from bentofn.runtime import asgi, threads

    for process in ("instance", "template"):
        import_module(f"bentofn.runtime.{process}")
    if onnx:
        threads.calm(os.environ)
        with contextlib.suppress(ImportError):
            import_module("onnxruntime")
    asgi.configure(main)
    threads.Pools.find()
    import_module("prometheus_client.core")
    import_module("bentofn.runtime.http.uploads")


def _import_surroundings(services: Sequence[Service[Any]]) -> None:
    """Import what a start does for applications, middleware and commands of the user's."""
    from bentofn.runtime import asgi

    has_commands = any(each.has_custom_command() for each in services)
    if has_commands:
        import_module("bentofn.runtime.command.proxy")
    if has_commands or any(each.mounts for each in services):
        import_module("bentofn.runtime.http.mounted")
        asgi.configure(main, websockets=True)
    if any(each.middlewares for each in services):
        import_module("bentofn.runtime.http.middleware")


def _import_late(names: Iterable[str]) -> None:
    """Import what the service's functions import, ``module`` or ``module:name``, where it can be.

    What fails here may be meant for another machine (one with a GPU), so a failure says nothing.
    """
    for name in names:
        module, _, attribute = name.partition(":")
        with contextlib.suppress(Exception, SystemExit):
            imported = import_module(module)
            # A package may import its parts only when they are asked for.
            if attribute and not hasattr(imported, attribute):
                import_module(f"{module}.{attribute}")


def _place(file: str, options: Mapping[str, str]) -> str | None:
    """A file as ``src/...``, ``runtime/...`` or ``env/...``."""
    for name, option in (("src", "source"), ("runtime", "runtime"), ("env", "env")):
        # The project's code is imported from its resolved path, the rest from where it is linked.
        for directory in (options[option], os.path.realpath(options[option])):
            if file.startswith(directory + os.sep):
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
