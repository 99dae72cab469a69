"""Reads a service's contract by importing the service where it will run: in its artifact's parts.

A child process imports it with the bento's own environment and runtime, never with what happens to
be installed beside bentofn.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.code.answering import Asked, answering
from bentofn.packager.environment.target import Target
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.modelsources.source import Report
from bentofn.packager.store import Store
from bentofn.runtime import threads
from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import Export
from bentofn.runtime.manifest import ServiceContract, canonical_json, contract_from_json

IMPORT_LIMIT = 600
"""Seconds after which an import that has not ended is taken for one that never ends."""


_LAST_WORDS = 4096
"""Bytes kept of what an import writes to stderr; some never stop writing."""


@dataclass(frozen=True)
class Description:
    """What importing a service shows.

    Args:
        contract: The service's promises.
        files: The files of all modules that a start imports, below the root, such as
            ``env/torch/__init__.py``.
        exports: The models that it wants exported.
        asked: The models that it looked at while it was imported, as it named them, to the digest
            of each.
        notes: What the user should know of it, one sentence each.
    """

    contract: ServiceContract
    files: tuple[str, ...]
    exports: tuple[Export, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """The parts of a bento that is being built.

    Args:
        source: The project's code.
        runtime: The folder that holds the slim ``bentofn``.
        env: The installed dependencies.
    """

    source: Path
    runtime: Path
    env: Path


def describe(
    parts: Parts,
    service: str,
    late: Sequence[str],
    target: Target,
    envs: Mapping[str, str],
    store: Store,
    scratch: Path,
    report: Report,
) -> Description:
    """Import a service in a process of its own and describe it.

    Args:
        parts: Where its code, runtime and environment stand.
        service: ``module:Class`` or ``file.py:Class``.
        late: What its functions import (see :mod:`bentofn.packager.code.late_imports`).
        target: Whose interpreter imports it.
        envs: The environment variables of the bento.
        store: Where the models are that it asks for.
        scratch: A folder for the answer.
        report: Told what takes time.

    Raises:
        UserError: It does not import, an endpoint cannot be served, or the import does not end.
    """
    answer = scratch / "description.json"
    boot = parts.runtime / "bentofn" / "runtime" / "boot.py"
    command = [str(target.interpreter), "-s", "-S", "-u", str(boot), "describe"]
    for name, value in (
        ("source", parts.source),
        ("runtime", parts.runtime),
        ("env", parts.env),
        ("service", service),
        ("late", ",".join(late)),
        ("output", answer),
    ):
        command += [f"--{name}", str(value)]
    environment = {**child_environment(envs), "BENTOFN_HOME": str(store.home.path)}
    try:
        with answering(store, report) as asked:
            environment |= asked.environment
            status, stderr = run_limited(command, environment, sockets=(asked.socket,))
    except subprocess.TimeoutExpired:
        raise UserError(
            f"Importing {service} did not end within {IMPORT_LIMIT} s; move what waits or serves "
            "out of the module level of your code."
        ) from None
    description = _read(answer, service, status, stderr, parts.source)
    return _with_asked(description, asked)


def run_limited(
    command: list[str],
    environment: Mapping[str, str],
    limit: int = IMPORT_LIMIT,
    sockets: Sequence[int] = (),
) -> tuple[int, bytes]:
    """Run a command; its exit status and the end of its stderr. What it started ends with it.

    Args:
        command: The command.
        environment: Its whole environment.
        limit: Seconds that it may take.
        sockets: Numbers of the files that it inherits.

    Raises:
        subprocess.TimeoutExpired: It did not end in time.
        OSError: It ended because the disk is full.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=sockets,
        start_new_session=True,
    )
    assert process.stderr is not None
    tail = bytearray()
    # A thread, because what the import leaves running may hold stderr open for ever.
    reader = threading.Thread(target=_keep_tail, args=(process.stderr, tail), daemon=True)
    reader.start()
    try:
        status = process.wait(limit)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what the service started
        process.wait()
    reader.join(1.0)
    if status and b"[Errno %d]" % errno.ENOSPC in tail:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return status, bytes(tail)


def _keep_tail(stream: BinaryIO, tail: bytearray) -> None:
    while chunk := os.read(stream.fileno(), 1 << 16):
        tail += chunk
        del tail[:-_LAST_WORDS]


def child_environment(envs: Mapping[str, str]) -> dict[str, str]:
    """The builder's environment and the bento's, without what would steer this interpreter.

    Nor with the builder's ``BENTOML_CONFIG``, which is for what it serves itself.

    Not -I, which would ignore the seed: with another one at each build, a contract that follows the
    order of a set (``Literal[tuple(NAMES)]``) would give another bento at each build.
    """
    own = {n: value for n, value in os.environ.items() if not n.startswith("BENTOML_CONFIG")}
    merged = {**own, **envs}
    kept = {
        name: value
        for name, value in merged.items()
        if not name.startswith("PYTHON") and name != "BENTOFN_ROOT"
    }
    threads.calm(kept)
    return {**kept, "PYTHONHASHSEED": "0"}


def cached_description(key: str, home: Home) -> Description | None:
    """The description that the same imports gave before."""
    try:
        return _description(json.loads(_path(key, home).read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def keep_description(key: str, description: Description, home: Home) -> None:
    """Remember a description under the digest of all that it depends on."""
    path = _path(key, home)
    home.directory(path.parent)
    raw = {
        "contract": json.loads(canonical_json(description.contract)),
        "files": description.files,
        "exports": [asdict(export) for export in description.exports],
        "asked": dict(description.asked),
        "notes": description.notes,
    }
    atomic_write(path, canonical_json(raw))


def _path(key: str, home: Home) -> Path:
    return home.cache / "contracts" / f"{key}.json"


def _read(answer: Path, service: str, status: int, stderr: bytes, source: Path) -> Description:
    try:
        raw = json.loads(answer.read_bytes())
    except (FileNotFoundError, ValueError):
        ending = f"was killed by signal {-status}" if status < 0 else "exited"
        raise UserError(
            f"The process that imported {service} {ending} without an answer"
            f"{_last_words(stderr)}; look for what ends the interpreter while it is imported."
        ) from None
    if "error" in raw:
        # It was imported from a copy that is gone when the user reads this.
        raise UserError(str(raw["error"]).replace(str(source), "the project"))
    return _description(raw)


def _description(raw: Mapping[str, object]) -> Description:
    contract = contract_from_json(canonical_json(raw["contract"]))
    files = raw["files"]
    if not isinstance(files, list):
        raise TypeError("files")
    exports = raw["exports"]
    if not isinstance(exports, list):
        raise TypeError("exports")
    asked = raw.get("asked", {})
    if not isinstance(asked, dict):
        raise TypeError("asked")
    notes = raw.get("notes", [])
    if not isinstance(notes, list):
        raise TypeError("notes")
    plain = tuple(map(Export.from_plain, exports))
    return Description(contract, tuple(files), plain, asked, tuple(notes))


def _with_asked(description: Description, asked: Asked) -> Description:
    """A description whose bento carries what was asked for, by the names it was asked by."""
    contract = description.contract
    models = [tag for tag in contract.models if tag not in asked.tags]
    wanted = tuple(dict.fromkeys((*models, *asked.models)))
    return replace(description, contract=replace(contract, models=wanted), asked=dict(asked.models))


def _last_words(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return f" ({lines[-1][:200]})" if lines else ""
