from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

    from fakecuda import FakeCuda
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling
    from xdist.workermanage import WorkerController

# How long an example takes says nothing on a busy machine.
settings.register_profile("bentofn", deadline=None)
settings.load_profile("bentofn")

# No test finds the models that this machine's own BentoML has.
os.environ["BENTOML_HOME"] = "/nonexistent"

# A shell starts what runs in the background with Ctrl-C ignored, and what tests start inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOGETHER = (
    (
        "tests/integration/test_embeddings.py",
        "tests/integration/test_erofs.py",
        "tests/integration/test_llm.py",
        "tests/integration/test_onnx.py",
        "tests/integration/test_readme.py",
        "tests/integration/test_torch_programs.py",
        "tests/integration/test_zygotes.py::test_a_clone_finds_torch_imported",
        "tests/integration/lazy/test_example.py",
    ),
    ("tests/integration/containerize/",),
    ("tests/integration/proof/",),
)
"""The beginnings of names of tests that share what takes long to make or count what all of them
leave: one worker of ``pytest -n`` runs them. Every other file goes to any worker."""

LONG = (
    *TOGETHER[0],
    "tests/integration/proof/",
    "tests/integration/containerize/",
    "tests/integration/aws_lambda/test_suite.py",
    "tests/integration/test_example_adapter.py",
)
"""Those that take longest. They are run first, so that no worker is at one when the others have
nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(scope="session")
def libfakecuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fakecuda import compiled

    return compiled(tmp_path_factory.mktemp("fakecuda"))


@pytest.fixture
def fake_cuda(libfakecuda: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """This process and those that it starts have the stand-in for libcuda."""
    from fakecuda import FakeCuda

    fake = FakeCuda(libfakecuda, tmp_path / "cuda.log", tmp_path / "cuda.control")
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    fake.reset()
    return fake


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            together = (names[0] for names in TOGETHER if nodeid.startswith(names))
            return next(together, super()._split_scope(nodeid))

        def remove_node(self, node: WorkerController) -> str | None:
            """The test that a worker crashed at is not given to the others, one after another."""
            pending = (
                (unit, test)
                for unit in self.assigned_work[node].values()
                for test, done in unit.items()
                if not done
            )
            unit, crashed = next(pending, ({}, None))
            if crashed is not None:
                unit[crashed] = True
            super().remove_node(node)
            return crashed

    # The order of collection has the integration tests before the many others, which take less.
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """A worker of ``pytest -n`` cannot send a report that is no UTF-8."""
    return _encodable((yield))


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Nor a warning."""
    warning_message.message = _encodable(str(warning_message.message))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """What goes wrong beside a test's own code, in a worker, ends this worker: its test has failed,
    and a new worker takes the others. Without this it ends the run."""
    try:
        return (yield)
    except pytest.exit.Exception:
        raise
    except (Exception, SystemExit):
        if not hasattr(item.config, "workerinput"):
            raise
        with contextlib.suppress(Exception):
            item.config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
            print(f"\nBeside {item.nodeid}:", file=sys.__stderr__)
            traceback.print_exc(file=sys.__stderr__)
            sys.__stderr__.flush()
        os._exit(1)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_encodable(each) for each in value)
    return value
