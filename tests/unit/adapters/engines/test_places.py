"""Of an instance that does not start nothing is left: its socket, its wires, its cell."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local.engines import InstanceSpec, Launch
from bentofn.adapters.local.engines.places import place
from bentofn.adapters.local.isolation.cells import Cells
from bentofn.adapters.local.isolation.groups import Group
from bentofn.adapters.local.isolation.limits import Limits
from bentofn.adapters.local.isolation.policy import Isolation

FDS = Path("/proc/self/fd")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bfn") as path:
        yield Path(path)


def launch(folder: Path) -> Launch:
    """With cells that are directories here."""
    (folder / "cells").mkdir()
    isolation = Isolation(Cells({"memory": Group(1, folder / "cells")}, Limits()))
    sockets, python = folder / "sockets", Path(sys.executable)
    return Launch(folder, python, {}, sockets, lambda *_: None, isolation)


def descriptors() -> list[Path]:
    return sorted(FDS.iterdir())


async def test_what_has_no_place_for_its_socket_leaves_no_cell(folder: Path) -> None:
    made = launch(folder)
    made.sockets.touch()
    with pytest.raises((FileExistsError, NotADirectoryError)):
        async with place(made, InstanceSpec("one")):
            pass
    assert list((folder / "cells").iterdir()) == []


@pytest.mark.skipif(not FDS.exists(), reason="descriptors are listed by Linux")
async def test_what_does_not_start_leaves_no_socket_no_wire_and_no_cell(folder: Path) -> None:
    made, before = launch(folder), descriptors()

    async def start() -> None:
        async with place(made, InstanceSpec("one")) as at:
            assert at.path.exists()
            assert [each.name for each in (folder / "cells").iterdir()] == ["one"]
            at.wires.close_remote()
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await start()
    assert list((folder / "cells").iterdir()) == list(made.sockets.iterdir()) == []
    assert descriptors() == before
