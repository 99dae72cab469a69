"""The process that shows lazy trees.

    python -m bentofn.packager.lazy.server HOME

It is told on stdin, one JSON object a line, ``{"mount": KEY}`` or ``{"answered": DIGEST}``, and
says on stdout ``{"mounted": KEY}``, ``{"refused": KEY, "error": SENTENCE}`` or
``{"log": LINE, "bento": DIGEST}``. It ends with its stdin: who started it may be killed, and the
mounts go with the last process of the private namespace that they are in.

A process of its own, because a thread that reads what it has mounted itself would wait for itself.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bentofn.packager.files import remove_tree
from bentofn.packager.fuse.server import Server
from bentofn.packager.fuse.tree import Node
from bentofn.packager.home import Home
from bentofn.packager.lazy.blobs import RemoteBlobs
from bentofn.packager.lazy.chunks import cache_directory
from bentofn.packager.lazy.complete import pack_of
from bentofn.packager.lazy.figures import Figures
from bentofn.packager.lazy.origin import Origin
from bentofn.packager.lazy.tree import TreeMaker
from bentofn.packager.prefetch.artifact import find_prefetch
from bentofn.packager.registry.transfer import transport_of
from bentofn.packager.roots.materialise import trees_of
from bentofn.packager.roots.mounts import is_mounted
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError

QUIET = 30.0
"""Seconds without a miss after which the rest is fetched, although nobody has said that the bento
has answered."""

AGAIN = 60.0
"""Seconds until the rest is tried again that could not be fetched."""

_POLL = 0.2


class Quiet:
    """Watches a file system and says nothing."""

    def found(self, node: Node) -> None:
        """See :class:`bentofn.packager.fuse.filesystem.Watcher`."""

    def opened(self, node: Node) -> None:
        """See :class:`bentofn.packager.fuse.filesystem.Watcher`."""

    def read(self, node: Node, offset: int, size: int) -> None:
        """See :class:`bentofn.packager.fuse.filesystem.Watcher`."""


@dataclass
class LazyBento:
    """A bento whose trees are mounted.

    Args:
        entry: It.
        blobs: Its blobs.
        maker: Makes its trees.
        figures: Its figures.
        mounts: What is mounted: directory to who serves it.
        answered: Set when it has answered.
    """

    entry: Entry
    blobs: RemoteBlobs
    maker: TreeMaker
    figures: Figures
    mounts: dict[Path, Server] = field(default_factory=dict)
    answered: threading.Event = field(default_factory=threading.Event)


class LazyServer:
    """Shows the lazy trees of one home.

    Args:
        home: It.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._store = Store(home)
        self._caches = home.directory(cache_directory(home.cache))
        for other in self._caches.parent.iterdir():
            if other != self._caches:
                remove_tree(other)
        self._bentos: dict[str, LazyBento] = {}
        self._output = threading.Lock()
        self._said: dict[str, float] = {}

    def run(self) -> None:
        """Obey until stdin ends."""
        for line in sys.stdin.buffer:
            command = json.loads(line)
            if "mount" in command:
                self._answer_mount(str(command["mount"]))
            elif (bento := self._bentos.get(str(command["answered"]))) is not None:
                bento.blobs.report()
                bento.figures.answered()
                bento.answered.set()
        for bento in self._bentos.values():
            bento.blobs.report()

    def _answer_mount(self, key: str) -> None:
        try:
            self._mount(key)
        except (UserError, OSError) as error:
            self._say({"refused": key, "error": str(error)})
        else:
            self._say({"mounted": key})

    def _mount(self, key: str) -> None:
        target = self._home.directory(self._home.mounted / key)
        if is_mounted(target):
            return
        for entry in self._store.list("bento"):
            for place, tree in trees_of(self._store.descriptors(entry)).items():
                if entry.lazy and tree.key == key:
                    bento = self._bento(entry)
                    server = Server(bento.maker.make(tree, place), Quiet())
                    server.mount(target)
                    bento.mounts[target] = server
                    return
        raise UserError(f"No bento of this machine has the tree {key}.")

    def _bento(self, entry: Entry) -> LazyBento:
        known = self._bentos.get(entry.digest)
        if known is None:
            origin = Origin.parse(entry.lazy)
            figures = Figures.of(self._home, entry)
            before = figures.misses
            blobs = RemoteBlobs(
                transport_of(origin.reference, "pull", origin.insecure),
                self._store,
                str(origin.reference),
                lambda size: figures.missed(before + size),
            )
            prefetch = find_prefetch(self._store, entry)
            pack = pack_of(self._store, prefetch, self._caches) if prefetch else None
            maker = TreeMaker(blobs, self._caches, pack, partial(self._log, entry.digest))
            known = self._bentos[entry.digest] = LazyBento(entry, blobs, maker, figures)
            threading.Thread(target=self._bring_the_rest, args=(known,), daemon=True).start()
        return known

    def _bring_the_rest(self, bento: LazyBento) -> None:
        while not bento.answered.wait(_POLL):
            if time.monotonic() - bento.blobs.last_miss > QUIET:
                break
        command = [sys.executable, "-m", "bentofn.packager.lazy.complete"]
        while True:
            done = subprocess.run(
                [*command, str(self._home.path), bento.entry.tag],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                break
            lines = done.stdout.strip().splitlines()
            last = lines[-1] if lines else f"it ended with status {done.returncode}"
            self._log(bento.entry.digest, f"the rest of {bento.entry.tag} is not here: {last}")
            time.sleep(AGAIN)
        for target, server in list(bento.mounts.items()):  # another tree may be mounted meanwhile
            server.unmount(target)
        bento.maker.forget()
        self._log(bento.entry.digest, f"all of {bento.entry.tag} is here")

    def _log(self, digest: str, line: str) -> None:
        """Say a line; one that was just said is not said for every page."""
        now = time.monotonic()
        if now - self._said.get(line, -AGAIN) >= AGAIN / 10:
            self._said[line] = now
            self._say({"log": line, "bento": digest})

    def _say(self, message: dict[str, str]) -> None:
        with self._output:
            try:
                os.write(1, json.dumps(message).encode() + b"\n")
            except BrokenPipeError:  # who listened has become the service itself
                print(message.get("log", ""), file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """The process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:  # each part of a model is a file
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    LazyServer(Home(Path(argv[0]))).run()
    # At once: threads may be waiting for a registry.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
