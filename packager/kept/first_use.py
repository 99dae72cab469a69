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

from bentofn.packager.code.gpu import names_gpu
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.kept.collect import Collected, collect, directory_of
from bentofn.packager.kept.place import keep, kept_place, link_kept
from bentofn.runtime.gpus import find_gpus
from bentofn.runtime.kept.host import this_host
from bentofn.runtime.kept.layer import choose, kept_below
from bentofn.runtime.kept.start import COMPILERS, VARIABLES, WRITES
from bentofn.runtime.layout import BentoRoot, boot_command
from bentofn.runtime.manifest import BentoManifest

TRIED = "tried.json"
"""Beside what is kept: for which classes of machines the examples compiled nothing, or failed."""

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
        tell: Told what is done.
        called_off: Set from another thread when nobody wants it any more.
    """

    home: Home
    digest: str
    root: BentoRoot
    manifest: BentoManifest
    python: Path
    env: Mapping[str, str]
    tell: Callable[[str], None]
    called_off: threading.Event

    @property
    def place(self) -> Path:
        """Where it is kept."""
        return kept_place(self.home, self.digest)

    def is_due(self) -> bool:
        """Whether the service is known to compile, or may with a GPU, and nothing kept fits."""
        if not any((self.root.environment / name).is_dir() for name in COMPILERS):
            return False
        if any(name in self.env for name in VARIABLES):
            return False
        places = (self.root.compiled, self.place)
        compiles = any(True for _ in kept_below(places))
        with_gpu = names_gpu(self.manifest.contract.config.get("resources")) and find_gpus()
        if not compiles and not with_gpu:
            return False
        if not any(api.examples for api in self.manifest.contract.apis):
            return False
        return choose(places, this_host())[0] is None and not self._was_tried()

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
                found = self._compile(scratch)
                if found is not None and not self.called_off.is_set():
                    keep(self.home, self.digest, found)
                    self.tell(f"kept for this machine what the examples compile, {found.summary}")
        if found is None and not self.called_off.is_set():
            self._tried()
            self.tell("the examples compile nothing here that can be kept")

    def _compile(self, scratch: Path) -> Collected | None:
        output, writes = scratch / "answers.json", scratch / "compiled"
        options = ("--root", str(self.root.path), "--output", str(output))
        command = boot_command(self.python, self.root.path, "examples", *options)
        self._run(command, {**self.env, WRITES: str(writes)})
        with contextlib.suppress(OSError, ValueError):
            error = json.loads(output.read_bytes()).get("error")
            if error:
                self.tell(f"the examples fail here: {error}")
        return collect(writes, (self.root.compiled, self.place), (scratch, self.root.path))

    def _run(self, command: list[str], env: Mapping[str, str]) -> None:
        """Run a process, and what it starts, to its end or until it is called off."""
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + LIMIT
        try:
            while not self.called_off.is_set() and time.monotonic() < end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
                    break
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _was_tried(self) -> bool:
        return _class() in _tried(self.place)

    def _tried(self) -> None:
        self.home.directory(self.place)
        tried = sorted({*_tried(self.place), _class()})
        atomic_write(self.place / TRIED, json.dumps(tried).encode())


def _class() -> str:
    return directory_of(this_host())


def _tried(place: Path) -> list[str]:
    try:
        return list(map(str, json.loads((place / TRIED).read_bytes())))
    except (OSError, ValueError, TypeError):
        return []
