from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.environment import instance_environment, thread_count, usable_cpus
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest, ServiceContract


def bento(cpu: object = None, **envs: str) -> LocalBento:
    config = {} if cpu is None else {"resources": {"cpu": cpu}}
    contract = ServiceContract("Echo", "service:Echo", config=config)
    manifest = BentoManifest("echo", "1", contract, "3.11", "linux/amd64", envs=envs)
    return LocalBento("echo:1", "sha256:a", BentoRoot(Path("/bento")), manifest)


def test_the_spec_overrides_the_bento_and_the_bento_the_machine() -> None:
    machine = {"PATH": "/bin", "TZ": "UTC", "LANG": "C", "AWS_SECRET_ACCESS_KEY": "x"}
    spec = FunctionSpec("f", "echo:1", FunctionSettings(environment={"LANG": "fr"}))
    assert instance_environment(spec, bento(TZ="CET", LANG="de"), machine) == {
        "PATH": "/bin",
        "TZ": "CET",
        "LANG": "fr",
        "BENTOFN_FUNCTION": "f",
        "BENTOFN_ROOT": "/bento",
    }


def test_instances_find_the_driver_where_the_platform_does() -> None:
    machine = {"LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}
    found = instance_environment(FunctionSpec("f", "echo:1"), bento(), machine)
    assert found["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"


@pytest.mark.parametrize(
    ("spec_cpu", "service_cpu", "threads"),
    [(2.5, "8", 3), (None, "4", 4), (None, "500m", 1), (None, 2, 2)],
)
def test_threads(spec_cpu: float | None, service_cpu: object, threads: int) -> None:
    spec = FunctionSpec("f", "echo:1", FunctionSettings(cpu=spec_cpu))
    assert thread_count(spec, bento(service_cpu)) == min(threads, usable_cpus())


def test_no_more_threads_than_cpus_that_may_be_used() -> None:
    spec = FunctionSpec("f", "echo:1", FunctionSettings(cpu=1000))
    assert thread_count(spec, bento()) == usable_cpus()


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is set on Linux only")
def test_cpus_that_are_kept_from_the_platform_do_not_count() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        spec = FunctionSpec("f", "echo:1", FunctionSettings(cpu=4))
        assert thread_count(spec, bento()) == thread_count(FunctionSpec("f", "e:1"), bento()) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_threads_are_the_machines_where_nobody_says() -> None:
    assert thread_count(FunctionSpec("f", "echo:1"), bento()) >= 1
    assert thread_count(FunctionSpec("f", "echo:1"), bento("lots")) >= 1


def test_a_path_that_is_no_bento_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no bento\.json"):
        resolve_bento(Home(tmp_path), str(tmp_path))
