"""The suite that every adapter passes, on Modal's own client and a control plane on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from grpclib import GRPCError, Status
from modal_cloud import Cloud
from modal_proto import api_pb2
from thoroughness import every_way

from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.adapters.modal.record import digest_of_tag
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest
from bentofn.testing.adapter_suite import AdapterSuite, Failing, Failure, InterruptedWorld, World

_HEARTBEAT = "AppHeartbeat"


class ModalWorld(World):
    """A workspace, and bentos of one file each: nothing of them is run.

    Args:
        home: A home.
        cloud: The workspace.
        manifest: Of a bento with a small model.
        folder: For the bentos.
    """

    answers = False

    def __init__(self, home: Home, cloud: Cloud, root: BentoRoot, folder: Path) -> None:
        self.home = home
        self._cloud = cloud
        self._root = root
        self._folder = folder

    def adapter(self) -> ModalAdapter:
        return ModalAdapter(self.home)

    def spec(self, revision: int) -> FunctionSpec:
        folder = BentoRoot(self._folder / str(revision))
        if not folder.path.exists():
            folder.environment.mkdir(parents=True)
            (folder.environment / "package.py").write_text("")
            folder.runtime.mkdir()
            (folder.runtime / "runtime.py").write_text("")
            folder.source.mkdir()
            (folder.source / "service.py").write_text(f"REVISION = {revision}\n")
            folder.models.symlink_to(self._root.models)
            manifest = BentoManifest.read(self._root.manifest)
            told = dataclasses.replace(manifest, labels={"revision": str(revision)})
            folder.manifest.write_bytes(told.to_json())
        return FunctionSpec("adder", str(folder.path), FunctionSettings())

    def live(self) -> int | None:
        app = self._cloud.state.app_named("adder")
        if app is None or app.live is None:
            return None
        version = app.live
        while version.rollback_version:
            version = app.versions[version.rollback_version - 1]
        digest = digest_of_tag(version.tag)
        for path in self._folder.iterdir():
            if self._digest(path) == digest:
                return int(path.name)
        raise AssertionError(version.tag)

    def _digest(self, path: Path) -> str:
        from bentofn.adapters.modal.bento import find_bento

        return find_bento(self.home, str(path)).digest

    def resources(self) -> Mapping[str, object]:
        state = self._cloud.state
        gone = api_pb2.APP_STATE_STOPPED
        apps = {a.app_id: len(a.versions) for a in state.apps.values() if a.state != gone}
        volumes = {each.name: dict(each.files) for each in state.volumes.values()}
        return {**apps, **volumes}

    def writes(self) -> int:
        """The calls that made, changed or ended something."""
        return sum(_writes(name, request) for name, request in self._cloud.seen)

    @contextlib.contextmanager
    def failing(self, call: int, failure: Failure) -> Iterator[Failing]:
        """The client itself does not come through; Modal's retries see it as they would."""
        from modal.client import _Client

        failing, count = Failing(), [0]
        unary, stream = _Client._call_unary, _Client._call_stream

        def fails(method: Any) -> bool:
            name = method.name.rpartition("/")[2]
            if name == _HEARTBEAT:
                return False
            count[0] += 1
            if count[0] == call + 1:
                failing.call = name
                return True
            return count[0] > call + 1 and failure in ("cut", "lost")

        def failed() -> BaseException:
            if failure == "denied":
                return GRPCError(Status.PERMISSION_DENIED, "this token may not do that")
            if failure == "throttled":
                policy = api_pb2.RPCRetryPolicy(retry_after_secs=0.0)
                return GRPCError(Status.RESOURCE_EXHAUSTED, "too many requests", [policy])
            return InterruptedWorld(failing.call)

        async def call_unary(self: Any, method: Any, *given: Any, **named: Any) -> Any:
            if not fails(method):
                return await unary(self, method, *given, **named)
            if failure == "lost" and count[0] == call + 1:
                await unary(self, method, *given, **named)
            raise failed()

        async def call_stream(self: Any, method: Any, *given: Any, **named: Any) -> Any:
            if fails(method):
                raise failed()
            async for each in stream(self, method, *given, **named):
                yield each

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_Client, "_call_unary", call_unary)
            patch.setattr(_Client, "_call_stream", call_stream)
            patch.setattr(_Client, "_client_from_env", None)
            yield failing


_CHANGING = re.compile(r".*(Create|Publish|Stop|Rollback|SetTags|Disconnect|Put\w*|Delete|Update)")


def _writes(name: str, request: Any) -> bool:
    asks = getattr(request, "object_creation_type", None)
    is_lookup = asks == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED
    return bool(_CHANGING.fullmatch(name)) and not is_lookup and name != "EnvironmentGetOrCreate"


@pytest.fixture(scope="module")
def root(modal_home: Home) -> BentoRoot:
    return BentoRoot(materialise(modal_home, Store(modal_home).get("bento", "adder:1")))


class TestModal(AdapterSuite):
    """With a call that is denied."""

    failures: tuple[Failure, ...] = ("denied",)

    @pytest.fixture
    def world(self, tmp_path: Path, cloud: Cloud, root: BentoRoot) -> ModalWorld:
        bentos = tmp_path / "bentos"
        bentos.mkdir()
        world = ModalWorld(Home(tmp_path / "home"), cloud, root, bentos)
        world.failures = self.failures
        world.stride = 1 if every_way() else len(self.failures)
        return world


@pytest.mark.slow
class TestModalInterrupted(TestModal):
    """With the other failures, one for each call; ``BENTOFN_TEST_FAULTS=all`` has all of them."""

    failures = ("throttled", "cut", "lost")
