"""Many instances of one snapshot at once: when the last has answered, and what each holds alone."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import Subject

from bentofn.adapters.local.engines import CriuEngine, Instance, InstanceSpec, Launch, Restorer
from bentofn.adapters.local.isolation.memory import MemoryUse
from bentofn.packager.snapshot.obtain import Subject as Snapshotted
from bentofn.packager.snapshot.store import SnapshotStore

TIMEOUT = 60.0


@dataclass(frozen=True)
class Burst:
    """What a burst came to.

    Args:
        last_seconds: From the first request for an instance to the last instance's right answer.
        private_megabytes: Memory of each instance that it shares with nobody.
    """

    last_seconds: float
    private_megabytes: list[float]


async def bursts(
    store: SnapshotStore,
    snapshotted: Snapshotted,
    subject: Subject,
    truth: Any,
    folder: Path,
    count: int,
    rounds: int,
) -> list[Burst]:
    """Start ``count`` instances at once, ``rounds`` times, each asked once.

    Args:
        store: Where the snapshot is kept.
        snapshotted: What it is taken of.
        subject: What it serves.
        truth: The right answer.
        folder: For the sockets.
    """
    root, python, env = snapshotted.root, snapshotted.python, dict(snapshotted.env)
    restorer = Restorer(store)
    engine = CriuEngine(
        Launch(root, python, env, folder, lambda *_: None), snapshotted, restorer, TIMEOUT
    )
    await engine.prepare()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        instances = await asyncio.gather(
            *(_first(engine, f"burst-{number}", subject, truth) for number in range(count))
        )
        elapsed = time.perf_counter() - began
        found.append(Burst(elapsed, [MemoryUse.of(each.pid).private / 1e6 for each in instances]))
        await asyncio.gather(*(each.stop(0.0) for each in instances))
    await engine.close()
    await restorer.close()
    return found


async def _first(engine: CriuEngine, name: str, subject: Subject, truth: Any) -> Instance:
    instance = await engine.start(InstanceSpec(name))
    reader, writer = await asyncio.open_unix_connection(os.fspath(instance.socket_path))
    path, body = subject.request
    content = json.dumps(body).encode()
    writer.write(
        f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    )
    writer.write(content)
    answer = await asyncio.wait_for(reader.read(), TIMEOUT)
    writer.close()
    value = json.loads(answer.partition(b"\r\n\r\n")[2])
    if value != truth:
        raise SystemExit(f"{name} answered {value!r}, not {truth!r}")
    return instance
