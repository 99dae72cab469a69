"""From files to a GPU through a ring of pinned memory."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from mmap import mmap
from queue import SimpleQueue
from typing import NamedTuple

from bentofn.runtime.cuda.context import Context, Event, Stream
from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.stages import stage
from bentofn.runtime.weights.memory import address_of, cpus, private
from bentofn.runtime.weights.plan import Chunk
from bentofn.runtime.weights.sharing import share
from bentofn.runtime.weights.sources.base import Source


@dataclass(frozen=True)
class Tuning:
    """How a ring is made.

    Args:
        threads: How many read at once, and start copies; 0: 12, or as many as can run.
        slots: Pieces of the ring for each thread: one is read into while others are copied.
        slot: Bytes of a piece; a multiple of 2 MiB and a power of two.
        streams: How many queues of copies the GPU has.
    """

    threads: int = 0
    slots: int = 2
    slot: int = 8 << 20
    streams: int = 2


class Job(NamedTuple):
    """One piece of work.

    Args:
        source: What to read.
        chunk: Which part.
        base: Address on the GPU of the buffer that the chunk is for.
    """

    source: Source
    chunk: Chunk
    base: int


@dataclass(frozen=True)
class _Slot:
    memory: mmap
    view: memoryview
    address: int
    is_pinned: bool
    stream: Stream
    event: Event


class Staging:
    """A ring of pinned memory and the threads that carry files through it to one GPU.

    Args:
        context: The GPU's.
        tuning: How large it is.

    Raises:
        CudaError: The driver has no streams for it.
    """

    def __init__(self, context: Context, tuning: Tuning | None = None) -> None:
        self.context = context
        self.tuning = tuning or Tuning()
        self._threads = self.tuning.threads or min(12, cpus())
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._slots: list[_Slot] = []
        self._free: SimpleQueue[_Slot | None] = SimpleQueue()
        with context:
            self._streams = [Stream.create(context) for _ in range(self.tuning.streams)]

    @property
    def pinned(self) -> int:
        """Bytes of host memory that are pinned."""
        return sum(len(slot.view) for slot in self._slots if slot.is_pinned)

    def prepare(self) -> None:
        """Make all pieces of the ring, which the first run would wait for.

        Raises:
            OSError: There is no memory for them.
            CudaError: The driver has no events for them.
        """
        with self._lock, self.context:
            while len(self._slots) < self._most:
                self._make()

    def run(self, jobs: Iterable[Job]) -> None:
        """Read and copy everything; it is all there, or the error is raised.

        Raises:
            UserError: Something cannot be read.
            OSError: There is no memory for the ring.
            CudaError: Something cannot be copied.
        """
        with self._lock:
            self._line_up()
            try:
                share(self._carry, jobs, self._threads)
            finally:
                # What is on its way goes to memory that the caller may give back.
                with stage("weights.copy"):
                    failed = self._settle()
            if failed:
                raise failed

    def wait(self) -> None:
        """Wait until the GPU takes orders: it does not while its memory is being put back.

        Raises:
            CudaError: It cannot be used.
        """
        with self.context:
            for stream in self._streams:
                stream.synchronize()

    def close(self) -> None:
        """Give back all memory; the next run takes it anew."""
        with self._lock, self.context:
            for slot in self._slots:
                slot.event.destroy()
                if slot.is_pinned:
                    self.context.unregister(slot.address)
                slot.view.release()
            self._slots.clear()
            self._free = SimpleQueue()  # which had them too

    @property
    def _most(self) -> int:
        return self._threads * self.tuning.slots

    def _line_up(self) -> None:
        """The pieces that there are, all of them idle, then room for those that are not yet made: a
        small file pins little."""
        self._free = SimpleQueue()
        for slot in (*self._slots, *[None] * (self._most - len(self._slots))):
            self._free.put(slot)

    def _settle(self) -> BaseException | None:
        """Wait for all copies, whatever comes; returns what failed."""
        failed = None
        with self.context:
            for stream in self._streams:
                try:
                    stream.synchronize()
                except BaseException as error:  # such as Ctrl-C
                    failed = error
        return failed

    def _carry(self, job: Job) -> None:
        slot = self._free.get()
        try:
            with self.context:
                slot = slot or self._make()
                slot.event.synchronize()
                self._read(job, slot.view)
                slot.stream.copy_in(job.base + job.chunk.to, slot.address, job.chunk.length)
                slot.event.record(slot.stream)
        finally:
            self._free.put(slot)

    def _read(self, job: Job, view: memoryview) -> None:
        if len(job.chunk.ranges) == 1:
            job.source.read(job.chunk.ranges[0].offset, view[: job.chunk.length], view)
            return
        done = 0
        for offset, _, length in job.chunk.ranges:
            job.source.read(offset, view[done : done + length])
            done += length

    def _make(self) -> _Slot:
        size = self.tuning.slot
        memory, offset = private(size)
        address = address_of(memory) + offset
        stream = self._streams[next(self._numbers) % len(self._streams)]
        event = Event.create(self.context)
        try:
            self.context.register(address, size)
            is_pinned = True
        except CudaError:  # no more memory may be pinned: the driver copies once more
            is_pinned = False
        view = memoryview(memory)[offset : offset + size]
        slot = _Slot(memory, view, address, is_pinned, stream, event)
        self._slots.append(slot)
        return slot


@dataclass
class _Rings:
    """Those of this process, by the driver's library and the GPU's number."""

    kept: dict[tuple[str, int], Staging] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """In a child process: CUDA is its parent's, and so may be a lock that nobody gives back."""
        self.kept, self.lock = {}, threading.Lock()


_rings = _Rings()
os.register_at_fork(after_in_child=_rings.forget)


def staging_of(library: Library, number: int) -> Staging:
    """The ring of this process for a GPU: pinning memory takes long, so it is kept.

    Args:
        library: The driver's.
        number: The GPU's.

    Raises:
        CudaError: The GPU cannot be used.
    """
    key = library.path, number
    with _rings.lock:
        if key not in _rings.kept:
            _rings.kept[key] = Staging(Context(library, number))
        return _rings.kept[key]


def release() -> None:
    """Give back the pinned memory of this process; the next load takes it anew."""
    with _rings.lock:
        for staging in _rings.kept.values():
            staging.close()
