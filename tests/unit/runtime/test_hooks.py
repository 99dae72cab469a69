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
    def prepare_plain() -> str:  # type: ignore[misc]
        return "prepared plainly"


def test_marked_methods_are_bound_and_in_order() -> None:
    child = Child()
    assert [hook.__name__ for hook in hooks.marked(child, "before_snapshot")] == ["close", "both"]
    assert [hook.__name__ for hook in hooks.marked(child, "after_restore")] == ["both"]
    assert hooks.marked(child, "on_startup") == []


def test_deployment_hooks_need_no_instance() -> None:
    results = [hook() for hook in hooks.marked(Child, "on_deployment")]
    assert results == ["prepared", "prepared too", "prepared plainly"]


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
