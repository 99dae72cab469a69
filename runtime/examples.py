"""Says what a service answers to its own examples.

The packager runs it on a bento before it is stored, to prove that what was left out of the
environment is not missed.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bentofn.runtime.obstacles import Sites


def main(options: Mapping[str, str]) -> int:
    """The ``examples`` process: writes an answer to ``--output`` or stdout.

    It is ``{"answers", "modules", "obstacles", "unplaced"}``. An answer is ``{"path", "example",
    "status", "body"}``, its body in base64. A module is a file of the packages that is imported by
    then, such as ``env/numpy/__init__.py``. An obstacle is a sentence that says what keeps the
    service from being snapshotted; if one does not say where it was opened, ``unplaced`` is true,
    and with ``--lines yes`` more is found out. A service that cannot be constructed or fails at an
    example gives ``{"error"}`` and exit status 1.
    """
    from bentofn.runtime import lifecycle
    from bentofn.runtime.http.app import ServiceApp
    from bentofn.runtime.http.warmup import answer_examples
    from bentofn.runtime.kept import start
    from bentofn.runtime.manifest import canonical_json
    from bentofn.runtime.namespaces import Namespaces, isolate
    from bentofn.runtime.obstacles import Sites

    isolate(Namespaces.find(), os.environ)()  # where a platform runs it
    document: dict[str, object]
    sites = Sites.record(options["source"], options["env"], lines="lines" in options)
    try:
        service = lifecycle.load(options)
        app = ServiceApp(service, service())
        answers = answer_examples(app)
        start.answered()
        document = {
            "answers": [
                {
                    "path": answer.path,
                    "example": repr(dict(answer.example))[:500],
                    "status": answer.status,
                    "body": base64.b64encode(answer.body).decode(),
                }
                for answer in answers
            ],
            "modules": _modules(options["env"]),
            **_obstacles(app.instance, sites),
        }
    except Exception as error:
        document = {"error": lifecycle.explain(error)}
    data = canonical_json(document)
    if "output" in options:
        Path(options["output"]).write_bytes(data)
    else:
        sys.stdout.buffer.write(data + b"\n")
    return 1 if "error" in document else 0


def _modules(environment: str) -> list[str]:
    prefix = f"{environment}/"
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({f"env/{f[len(prefix) :]}" for f in files if f and f.startswith(prefix)})


def _obstacles(instance: object, sites: Sites) -> dict[str, object]:
    from bentofn.runtime import lifecycle, obstacles

    try:
        lifecycle.end_before_copy(instance)
    except Exception as error:
        failure = f"No snapshot of this service can be taken: {lifecycle.explain(error)}."
        return {"obstacles": [failure], "unplaced": False}
    sites.stop()
    found = obstacles.find((), sites)
    return {
        "obstacles": obstacles.warnings(found),
        "unplaced": any(each.blocks and not each.where for each in found),
    }
