"""An instance that is started with an engine, up to where it serves."""

from __future__ import annotations

import asyncio

from bentofn.adapters.local.engines.base import Engine, Instance, InstanceSpec, StartTimedOut


async def serve(engine: Engine, spec: InstanceSpec, timeout: float) -> Instance:
    """Start an instance and wait until it serves; nothing is left of one that does not.

    Args:
        engine: What starts it.
        spec: It.
        timeout: Seconds that it may take.

    Raises:
        StartFailed: It does not serve, or not in time.
        EngineRefused: It cannot be started this way.
    """
    try:
        return await asyncio.wait_for(_ready(engine, spec), timeout)
    except asyncio.TimeoutError:
        raise StartTimedOut(f"it did not serve within {timeout:g} s") from None


async def _ready(engine: Engine, spec: InstanceSpec) -> Instance:
    instance = await engine.start(spec)
    try:
        await instance.ready()
    except BaseException:
        await asyncio.shield(instance.stop(0.0))
        raise
    return instance
