"""Compiled code that a bento gets on a machine where nothing that it carries fits.

It was built without this machine's GPU, or on another processor. The service answers its examples
once, in a process of its own, and what it compiles is kept beside the bento for this class of
machines, where every start of it looks.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.kept.collect import collect, directory_of
from bentofn.packager.kept.place import keep, kept_place, link_kept
from bentofn.packager.slim.proof import Outcome
from bentofn.runtime.kept.host import Host
from bentofn.runtime.kept.layer import choose, kept_below
from bentofn.runtime.kept.start import COMPILERS, VARIABLES, WRITES
from bentofn.runtime.layout import BentoRoot, boot_command
from bentofn.runtime.manifest import BentoManifest

TRIED = "tried.json"
"""Beside what is kept: class of machines to how often nothing came of the examples there."""

_TRIES = 3
"""How often examples that fail are tried: what they lack may be there later, such as room on a
GPU."""

_WRITES = "compiled"
"""Where the service compiles, below a temporary folder."""

_LOOK = 0.2
"""Seconds between two looks whether it is still wanted."""

LIMIT = 3600
"""Seconds that it may take; a large model's autotuning takes many minutes."""


@dataclass(frozen=True)
class FirstUse:
    """A bento on this machine.

    Args:
        home: The home.
        digest: The bento's.
        root: Its root.
        manifest: Its manifest.
        python: The interpreter.
        env: The whole environment of the service.
        host: The machine, as the service sees it.
        gpu: Whether the service is given GPUs where there are any.
        tell: Told what is done.
        called_off: Set from another thread when nobody wants it any more.
    """

    home: Home
    digest: str
    root: BentoRoot
    manifest: BentoManifest
    python: Path
    env: Mapping[str, str]
    host: Host
    gpu: bool
    tell: Callable[[str], None]
    called_off: threading.Event

    @property
    def place(self) -> Path:
        """Where it is kept."""
        return kept_place(self.home, self.digest)

    def is_due(self) -> bool:
        """Whether the service is known to compile, or may with a GPU, and nothing kept fits: what
        was compiled without a GPU does not where it has one."""
        if not any((self.root.environment / name).is_dir() for name in COMPILERS):
            return False
        if any(name in self.env for name in VARIABLES):
            return False
        places = (self.place, self.root.compiled)
        with_gpu = self.gpu and bool(self.host.gpu)
        if not with_gpu and not any(True for _ in kept_below(places)):
            return False
        if not any(api.examples for api in self.manifest.contract.apis):
            return False
        found, _ = choose(places, self.host)
        fits = found is not None and (not with_gpu or bool(found[1].host.gpu))
        return not fits and self._tries() < _TRIES

    def make(self) -> None:
        """Have the examples answered and keep what that compiles, once. Blocks, for minutes.

        Raises:
            UserError: The disk is full or the home cannot be written.
        """
        with self.home.lock(f"compiled-{self.place.name}"):
            if not self.is_due():  # another process was first
                link_kept(self.home, self.digest)
                return
            self.tell("answering the examples once, to keep what they compile for this machine")
            with temporary_directory(self.home.directory(self.home.cache)) as scratch:
                problem = self._answer(scratch)
                if self.called_off.is_set():
                    return
                writes, places = scratch / _WRITES, (scratch, self.root.path)
                found = collect(writes, (self.root.compiled, self.place), places)
                if found is not None:
                    keep(self.home, self.digest, found)
                    self.tell(f"kept for this machine what the examples compile, {found.summary}")
                    return
        self._tried(self._tries() + 1 if problem else _TRIES)
        if not problem:
            self.tell("the examples compile nothing here that can be kept")
        else:
            again = "" if self._tries() < _TRIES else "; that is not tried again"
            self.tell(f"what the examples compile is not kept: {problem}{again}")

    def _answer(self, scratch: Path) -> str:
        """Have the examples answered; why they were not, if so."""
        output, said = scratch / "answers.json", scratch / "stderr"
        options = ("--root", str(self.root.path), "--output", str(output))
        command = boot_command(self.python, self.root.path, "examples", *options)
        with said.open("wb") as stderr:
            status = self._run(command, {**self.env, WRITES: str(scratch / _WRITES)}, stderr)
        if status is None:
            return f"they were not answered within {LIMIT} s"
        try:
            failure = str(json.loads(output.read_bytes()).get("error", ""))
        except (OSError, ValueError):
            failure = f"their process ended with status {status}"
        lines = said.read_text(errors="replace").strip().splitlines()
        return Outcome(None, failure, lines[-1][:300] if lines else "").reason if failure else ""

    def _run(self, command: list[str], env: Mapping[str, str], stderr: BinaryIO) -> int | None:
        """Run a process, and what it starts; its status, or None if it was ended: it was called
        off, or took too long."""
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=stderr, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + LIMIT
        try:
            while not self.called_off.is_set() and time.monotonic() < end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(_LOOK)
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _tries(self) -> int:
        return _tries(self.place).get(directory_of(self.host), 0)

    def _tried(self, count: int) -> None:
        self.home.directory(self.place)
        tries = {**_tries(self.place), directory_of(self.host): count}
        atomic_write(self.place / TRIED, json.dumps(tries).encode())


def _tries(place: Path) -> dict[str, int]:
    try:
        raw = json.loads((place / TRIED).read_bytes())
        return {str(name): int(count) for name, count in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
