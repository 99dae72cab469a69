"""What a service does once when it is deployed."""

from __future__ import annotations

import asyncio

from bentofn.adapters.local.engines.base import Launch
from bentofn.adapters.local.engines.children import kill_session
from bentofn.adapters.local.interpreter import boot_command
from bentofn.runtime.errors import UserError


async def run_deployment_hook(launch: Launch, timeout: float) -> None:
    """Run a service's ``on_deployment`` methods, once and in a process of their own.

    Args:
        launch: What the service's processes are started with.
        timeout: Seconds that they may take.

    Raises:
        UserError: They failed.
    """
    process = await asyncio.create_subprocess_exec(
        *boot_command(launch.python, launch.root, "on-deployment"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=launch.env,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout)
    except asyncio.TimeoutError:
        raise UserError(f"on_deployment took over {timeout:g} s.") from None
    finally:
        kill_session(process.pid)
    lines = output.decode(errors="replace").splitlines()
    for line in lines:
        launch.log("on-deployment", "stdout", line)
    if process.returncode:
        raise UserError(f"on_deployment failed: {lines[-1] if lines else 'no output'}")
