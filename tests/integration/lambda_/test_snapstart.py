"""SnapStart's flow with the unmodified awslambdaric: published once, restored for each."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bentofn.adapters.local.engines.base import StartFailed
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import InvocationRefused

HOOKS = """
import os, time
from snapshot_restore_py import register_after_restore, register_before_snapshot

said = ["import"]

@register_before_snapshot
def before_first(): said.append("before 1")

@register_before_snapshot
def before_second(): said.append("before 2")

@register_after_restore
def after_first(): said.append("after 1")

@register_after_restore
def after_second(): said.append("after 2")

def handler(event, context):
    if event == "exit": os._exit(1)
    return {
        "said": said, "pid": os.getpid(), "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
    }
"""


async def test_hooks_run_around_the_snapshot_the_last_first_and_then_the_first_first(
    make: Any,
) -> None:
    greet = await make(HOOKS, snap_start=True)
    result = await greet(log_tail=True)
    found = json.loads(result.payload)
    assert found["said"] == ["import", "before 2", "before 1", "after 1", "after 2"]
    assert found["type"] == "snap-start"
    assert result.init_ms is None
    assert result.restore_ms is not None
    fields = r"\tRestore Duration: (\d+\.\d\d) ms\tBilled Restore Duration: (\d+) ms\t"
    restored = re.search(fields, greet.log()[-1])
    assert restored is not None
    assert float(restored[1]) <= int(restored[2]) <= result.billed_ms
    log = greet.log("platform")
    assert re.fullmatch(r"INIT_REPORT Init Duration: .* ms\tPhase: init", log[0])
    assert log[1].startswith("RESTORE_START Runtime Version: python:")
    assert log[2].startswith("RESTORE_REPORT Restore Duration: ")
    assert (await greet()).restore_ms is None


async def test_each_environment_is_restored_for_itself_also_after_its_end(make: Any) -> None:
    greet = await make(HOOKS, snap_start=True)
    other = LambdaEnvironment(greet.setup, "greet-2", greet.snapshots.take)
    await other.ready()
    try:
        assert other.pid != greet.environment.pid
        assert (await greet.error("exit"))["errorType"] == "Runtime.ExitError"
        found = await greet.value()
        assert found["said"].count("after 1") == 1
    finally:
        await other.stop(0.0)


async def test_a_version_that_cannot_be_initialised_cannot_be_published(make: Any) -> None:
    with pytest.raises(StartFailed, match=r"Runtime\.ImportModuleError.*No module named 'nowhere'"):
        await make("import nowhere\n", snap_start=True)


async def test_a_hook_that_fails_before_the_snapshot_fails_the_publishing(make: Any) -> None:
    with pytest.raises(StartFailed, match=r"Runtime\.BeforeSnapshotError: not ready"):
        await make(
            """
            from snapshot_restore_py import register_before_snapshot

            @register_before_snapshot
            def before(): raise ValueError("not ready")

            def handler(event, context): pass
            """,
            snap_start=True,
        )


async def test_a_hook_that_fails_after_the_restore_is_the_callers_error(make: Any) -> None:
    greet = await make(
        """
        from snapshot_restore_py import register_after_restore

        @register_after_restore
        def after(): raise ValueError("no network")

        def handler(event, context): pass
        """,
        snap_start=True,
    )
    assert "no network" in greet.environment.trouble
    with pytest.raises(InvocationRefused, match="no network") as refused:
        await greet()
    assert (refused.value.status, refused.value.code) == (400, "SnapStartException")


async def test_a_function_without_snapstart_runs_no_hooks(make: Any) -> None:
    greet = await make(HOOKS)
    assert (await greet.value())["said"] == ["import"]
