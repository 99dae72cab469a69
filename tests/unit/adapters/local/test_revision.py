from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.local.engines import Restorer
from bentofn.adapters.local.engines.forked.zygotes import Zygotes
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.isolation.policy import UNLIMITED
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.stats import Stats
from bentofn.adapters.local.tickets import Refused
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ServiceContract


async def test_a_start_that_breaks_unexpectedly_refuses_who_waits(tmp_path: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    manifest = BentoManifest("a", "1", ServiceContract("A", "service:A"), python, "linux/amd64")
    bento = LocalBento("a:1", "sha256:a", BentoRoot(tmp_path), manifest)
    spec = FunctionSpec("a", "a:1", FunctionSettings(snapshot="none"))
    sockets = tmp_path / "removed by somebody" / "sockets"
    log = LogWriter(tmp_path / "a.jsonl")
    stats = Stats()
    restorer = Restorer(SnapshotStore(Home(tmp_path / "home")))
    profile = load_profile("plain")
    shared = Shared(Zygotes(print), restorer, KeptZygotes(restorer, print))
    revision = Revision(spec, bento, 1, profile, sockets, UNLIMITED, log, stats, shared)
    ticket = revision.submit()
    with pytest.raises(Refused, match="could not start an instance") as caught:
        await asyncio.wait_for(ticket.assigned, 60)
    assert caught.value.status == 503
    revision.release(ticket, cancelled=False)
    await revision.close(0.0)
    assert "No such file" in stats.last_failure
    log.close()
