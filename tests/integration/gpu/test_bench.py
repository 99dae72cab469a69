"""What `bentofn bench cold-start` measures of a function that sleeps while nobody asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trace_events import slices_of

from bentofn.adapters.local.timeline.chrome import trace_events
from bentofn.adapters.local.timeline.cold_starts import measure
from bentofn.adapters.local.timeline.table import rows

if TYPE_CHECKING:
    from conftest import Machine


def test_its_fast_start_is_to_wake(machine: Machine) -> None:
    spec = machine.spec("a")
    done = asyncio.run(measure(machine.home, spec, 2, lambda _: None, traced=True))
    assert list(done.arms) == ["plain", "checkpointed"]
    plain, woken = ({row.path[-1] for row in rows(arm.timelines)} for arm in done.arms.values())
    assert plain >= {"gpu.turn", "process", "import", "construct", "request", "answer"}
    assert woken >= {"gpu.turn", "gpu.restore", "renew", "after_restore", "request", "answer"}
    assert not woken & {"process", "import", "construct"}
    assert len(slices_of({"traceEvents": list(trace_events(done.traced))})) > len(woken)
    assert machine.processes() == {}


def test_one_that_cannot_sleep_is_measured_alone_and_told_why(machine: Machine) -> None:
    machine.cuda.fail("cuCheckpointProcessCheckpoint=801")
    done = asyncio.run(measure(machine.home, machine.spec("a"), 1, lambda _: None, traced=False))
    assert list(done.arms) == ["plain"]
    assert "managed memory" in done.note
