from __future__ import annotations

from collections.abc import Iterator

import pytest

import bentofn
from bentofn.runtime import hooks
from bentofn.runtime.errors import UserError


@pytest.fixture(autouse=True)
def _no_functions_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hooks, "_before_snapshot", [])
    monkeypatch.setattr(hooks, "_after_restore", [])
    return


class Base:
    def __init__(self) -> None:
        self.calls: list[str] = []

    @bentofn.before_snapshot
    def close(self) -> None:
        self.calls.append("close")

    @bentofn.after_restore
    def open(self) -> None:
        self.calls.append("base open")

    @property
    def never_read(self) -> str:
        raise AssertionError("a property was read")


class Child(Base):
    @bentofn.before_snapshot
    @bentofn.after_restore
    async def both(self) -> None:
        self.calls.append("both")

    def open(self) -> None:
        self.calls.append("not marked any more")

    @bentofn.on_deployment
    @staticmethod
    def prepare() -> str:
        return "prepared"

    @staticmethod
    @bentofn.on_deployment
    def prepare_too() -> str:
        return "prepared too"

    @bentofn.on_deployment
    def prepare_plain() -> str:
        return "prepared plainly"


def test_marked_methods_are_bound_and_in_order() -> None:
    child = Child()
    assert [hook.__name__ for hook in hooks.marked(child, "before_snapshot")] == ["close", "both"]
    assert [hook.__name__ for hook in hooks.marked(child, "after_restore")] == ["both"]
    assert hooks.marked(child, "on_startup") == []


def test_deployment_hooks_need_no_instance() -> None:
    results = [hook() for hook in hooks.marked(Child, "on_deployment")]
    # By name, as in BentoML.
    assert results == ["prepared", "prepared plainly", "prepared too"]
    assert Child.prepare_plain() == "prepared plainly"


def test_a_deployment_hook_with_an_instance_is_refused() -> None:
    with pytest.raises(UserError, match="on_deployment method 'prepare'"):

        @bentofn.service
        class Wrong:
            @bentofn.on_deployment
            def prepare(self) -> None: ...


def test_before_runs_backwards_and_after_runs_forwards() -> None:
    child = Child()
    for name in ("one", "two"):
        bentofn.register_before_snapshot(child.calls.append, f"before {name}")
        bentofn.register_after_restore(child.calls.append, f"after {name}")
    hooks.run_before_snapshot(child)
    assert child.calls == ["both", "close", "before two", "before one"]
    child.calls.clear()
    hooks.run_after_restore(child)
    assert child.calls == ["after one", "after two", "both"]


def test_only_methods_are_hooks() -> None:
    with pytest.raises(UserError, match=r"@bentofn\.on_startup is for methods"):
        bentofn.on_startup("start")  # type: ignore[type-var]


def test_registering_is_a_decorator_too() -> None:
    calls: list[str] = []

    @bentofn.register_after_restore
    def reopen() -> None:
        calls.append("reopen")

    reopen()
    hooks.run_after_restore(None)
    assert calls == ["reopen", "reopen"]


def test_hooks_of_aws_package_run_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("snapshot_restore_py")
    monkeypatch.setattr(package, "_before_snapshot_registry", [])
    monkeypatch.setattr(package, "_after_restore_registry", [])
    child = Child()
    package.register_before_snapshot(child.calls.append, "theirs 1")
    bentofn.register_before_snapshot(child.calls.append, "ours")
    package.register_before_snapshot(child.calls.append, "theirs 2")

    @package.register_after_restore
    def reopen(name: str = "theirs") -> None:
        child.calls.append(name)

    package.register_after_restore(reopen, name="theirs by name")
    bentofn.register_after_restore(child.calls.append, "ours")
    hooks.run_before_snapshot(child)
    assert child.calls == ["both", "close", "ours", "theirs 2", "theirs 1"]
    child.calls.clear()
    hooks.run_after_restore(child)
    assert child.calls == ["theirs", "theirs by name", "ours", "both"]


class Failing:
    @bentofn.after_restore
    async def connect(self) -> None:
        raise ConnectionError("refused")


def leave() -> None:
    raise SystemExit(3)


def test_a_hook_that_raises_is_named_with_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    line = Failing.connect.__code__.co_firstlineno
    sentence = (
        rf"^the after_restore hook Failing\.connect \(test_hooks\.py:{line}\) raised "
        rf"ConnectionError: refused \(test_hooks\.py:{line + 2}\)$"
    )
    with pytest.raises(UserError, match=sentence):
        hooks.run_after_restore(Failing())
    assert "ConnectionError: refused" in capsys.readouterr().err, "the log has the traceback"


def test_a_hook_that_exits_has_failed() -> None:
    bentofn.register_before_snapshot(leave)
    with pytest.raises(UserError, match=r"hook leave \(test_hooks\.py:\d+\) raised SystemExit: 3"):
        hooks.run_before_snapshot(None)


def test_a_hook_without_code_of_its_own_is_named() -> None:
    bentofn.register_after_restore(int, "five")
    with pytest.raises(UserError, match="the after_restore hook int raised ValueError"):
        hooks.run_after_restore(None)
