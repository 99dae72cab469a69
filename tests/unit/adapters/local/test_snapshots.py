from __future__ import annotations

from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.engines.base import InstanceSpec, Launch
from bentofn.adapters.local.environment import instance_environment
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.packager.snapshot.key import environment_digest
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ServiceContract


def digest(home: Home, bento: LocalBento, function: FunctionSpec) -> str:
    """Of what a function's snapshot is taken in."""
    environment = instance_environment(function, bento)
    launch = Launch(bento.root.path, Path("python"), environment, home.run, lambda *_: None)
    taken_in = launch.environment(InstanceSpec("i", {"BENTOFN_INSTANCE": "i"}))
    return environment_digest(home, taken_in, bento.manifest.envs)


def test_functions_that_set_nothing_share_the_snapshot_that_was_taken_ahead(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    contract = ServiceContract("g", "s:G")
    manifest = BentoManifest("b", "1", contract, "3.11", "linux/amd64", envs={"MODE": "fast"})
    bento = LocalBento("b:1", "sha256:0", BentoRoot(tmp_path / "root"), manifest)
    ahead = environment_digest(
        home, instance_environment(FunctionSpec("b", "b:1"), bento), manifest.envs
    )
    assert ahead.startswith("declared:")
    assert digest(home, bento, FunctionSpec("one", "b:1")) == ahead
    assert digest(home, bento, FunctionSpec("other", "b:1")) == ahead
    own = FunctionSpec("own", "b:1", FunctionSettings(environment={"TOKEN": "x"}))
    assert digest(home, bento, own) != ahead
