"""The script that an interpreter runs to become one of a service's processes.

    python -I -S -u <root>/runtime/bentofn/runtime/boot.py PROCESS [--NAME VALUE]...

It decides what may be imported (the project's code, the runtime, the bento's environment and the
standard library, nothing of the host's) and hands over. Nothing but built-in modules is imported
here: every module costs a cold start.
"""

# pathlib resolves links, which a root may be made of, and its import costs a cold start.
# ruff: noqa: PTH100, PTH118, PTH120, PTH208

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Mapping
from importlib import import_module

_BEGAN = time.time_ns()

PLACES = ("root", "source", "runtime", "env")
"""Options that every process takes: a bento's root, or its parts where there is no root yet."""

PROCESSES = {
    "instance": ("instance", ("listen-fd", "control-fd", "threads")),
    "template": ("template", ("control-fd",)),
    "zygote": ("zygote.process", ("control-fd", "without", "wire")),
    "snapshot": ("parking", ("control-fd", "wire")),
    "describe": ("describe", ("output", "service", "late")),
    "examples": ("examples", ("output", "lines")),
    "on-deployment": ("on_deployment", ()),
    "serve": ("server", ("host", "port")),
    "lambda": ("ric", ("handler", "client")),
    "function": ("aws_lambda.image", ()),
}
"""Process to its module in ``bentofn.runtime`` and the options that it takes."""


class UsageError(Exception):
    """The command line cannot be understood."""


def parse(argv: list[str]) -> tuple[str, dict[str, str]]:
    """Split a command line into the process and its options.

    Raises:
        UsageError: The process or an option is unknown, or an option has no value.
    """
    if not argv or argv[0] not in PROCESSES:
        raise UsageError(f"expected one of {', '.join(PROCESSES)}")
    process, rest = argv[0], argv[1:]
    known = {f"--{name}": name for name in (*PLACES, *PROCESSES[process][1])}
    options: dict[str, str] = {}
    while rest:
        flag = rest.pop(0)
        if flag not in known:
            raise UsageError(f"{process} takes no {flag}; it takes {', '.join(known)}")
        if not rest:
            raise UsageError(f"{flag} needs a value")
        options[known[flag]] = rest.pop(0)
    return process, options


def places(options: Mapping[str, str], script: str) -> dict[str, str]:
    """Where the project's code, the runtime and the environment stand, as absolute paths.

    Args:
        options: What :func:`parse` found.
        script: Path of this file as the interpreter was given it; a root is not resolved through
            links, since a root may be made of them.

    Returns:
        ``source``, ``runtime`` and ``env`` to their directories, in the order of the import path,
        then ``root``.
    """
    root = options.get("root") or os.path.join(os.path.dirname(script), *[os.pardir] * 3)
    return {
        "source": os.path.abspath(options.get("source") or os.path.join(root, "src")),
        "runtime": os.path.abspath(options.get("runtime") or os.path.join(root, "runtime")),
        "env": os.path.abspath(options.get("env") or os.path.join(root, "env")),
        "root": os.path.abspath(root),
    }


def set_import_path(where: Mapping[str, str]) -> None:
    """Make exactly the given places and the standard library importable."""
    own = os.path.dirname(os.path.abspath(__file__))
    standard = [entry for entry in sys.path if entry not in ("", own)]
    sys.path[:] = [*own_places(where), *standard]
    sys.dont_write_bytecode = True
    if any(name.endswith(".pth") for name in _names(where["env"])):
        import site

        site.addsitedir(where["env"])


def own_places(where: Mapping[str, str]) -> list[str]:
    """The import path of a bento's own: its code, the runtime, the drop-in, the environment.

    The drop-in is the ``bentoml`` that stands for BentoML's own package; ``BENTOFN_STOCK=1`` leaves
    it out.
    """
    dropin = os.path.join(where["runtime"], "bentofn", "runtime", "dropin")
    drops = [] if os.environ.get("BENTOFN_STOCK") == "1" else [dropin]
    return [where["source"], where["runtime"], *drops, where["env"]]


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def main(argv: list[str]) -> int:
    """Become the process that the command line names; returns its exit status."""
    try:
        process, options = parse(argv)
    except UsageError as error:
        print(f"boot.py: {error}", file=sys.stderr)
        return 2
    gc.disable()  # until the service is imported
    where = places(options, os.path.abspath(__file__))
    set_import_path(where)
    if "source" not in options:
        os.environ["BENTOFN_ROOT"] = where["root"]
    if "output" in options:
        options["output"] = os.path.abspath(options["output"])
    os.chdir(where["source"])
    stages = import_module("bentofn.runtime.stages") if "BENTOFN_STAGES" in os.environ else None
    if stages is not None:
        stages.begin(os.environ)
    module = import_module(f"bentofn.runtime.{PROCESSES[process][0]}")
    if stages is not None:
        stages.since("boot", _BEGAN)
    return int(module.main({**options, **where}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
