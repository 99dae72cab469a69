"""Gives the trees of lazy bentos as mounts, served by a process of its own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.lazy.complete import make_whole
from bentofn.packager.roots.mounts import children_may_mount, enter_private_namespace
from bentofn.packager.roots.trees import Tree
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError

MOUNT_LIMIT = 600.0
"""Seconds in which a tree is mounted; its table of contents may have to be fetched."""

Listener = Callable[[str, str], None]
"""Takes a bento's digest and a line that its users should see; from any thread."""


class LazyTrees:
    """A :class:`bentofn.packager.roots.trees.TreeProvider` for bentos that were pulled lazily.

    Where nothing can be mounted, the rest of the bento is fetched instead.

    Args:
        home: Whose bentos.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        self._mounted: set[str] = set()
        self.listener: Listener = lambda _, line: print(line, file=sys.stderr)
        try:
            enter_private_namespace()
            self._obstacle = ""
        except UserError as error:
            self._obstacle = str(error)

    def provide(self, tree: Tree) -> Path | None:
        """See :class:`bentofn.packager.roots.trees.TreeProvider`."""
        store = Store(self._home)
        if all(store.has(blob.digest) for blob in tree.blobs):
            return None
        bento = _bento_of(store, tree)
        if bento is None:
            return None
        if not self._obstacle:
            with self._lock:
                if tree.key in self._mounted or self._mount(tree.key):
                    self._mounted.add(tree.key)
                    return self._home.mounted / tree.key
        self.listener(bento.digest, f"fetching all of {bento.tag} first: {self._obstacle}")
        make_whole(store, bento)
        return None

    def answered(self, digest: str) -> None:
        """A bento has answered: what it lacks may now be fetched."""
        with self._lock:
            if self._process is not None:
                self._tell({"answered": digest})

    def _mount(self, key: str) -> bool:
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        self._tell({"mount": key})
        try:
            answer = self._answers.get(timeout=MOUNT_LIMIT)
        except queue.Empty:
            answer = {"error": "the process that mounts does not answer"}
        if "mounted" in answer:
            return True
        self._obstacle = answer.get("error", "the process that mounts has ended")
        return False

    def _start(self) -> subprocess.Popen[bytes]:
        with children_may_mount():
            process = subprocess.Popen(
                [sys.executable, "-m", "bentofn.packager.lazy.server", str(self._home.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Or Ctrl-C would take the files away before their reader ends.
                start_new_session=True,
                cwd="/",
            )
        assert process.stdin is not None
        # It lives as long as this descriptor: `serve` keeps it when it becomes the service.
        os.set_inheritable(process.stdin.fileno(), True)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            message = json.loads(line)
            if "log" in message:
                self.listener(message["bento"], message["log"])
            else:
                self._answers.put(message)
        self._answers.put({})

    def _tell(self, message: dict[str, str]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # its end is noticed where its answer is awaited


def _bento_of(store: Store, tree: Tree) -> Entry | None:
    """The lazy bento that has a tree's missing layers."""
    wanted = {blob.digest for blob in tree.blobs}
    for entry in store.list("bento"):
        if entry.lazy and wanted <= {layer.digest for layer in store.descriptors(entry)}:
            return entry
    return None
