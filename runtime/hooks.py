"""Functions that run at the turning points of an instance's life."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from bentofn.runtime.api import function_of
from bentofn.runtime.dependency import in_process
from bentofn.runtime.errors import UserError
from bentofn.runtime.members import declared_members, underlying

F = TypeVar("F", bound=Callable[..., Any])
Hook = Callable[[], Any]

_MARK = "__bentofn_hooks__"

_BY_NAME = ("on_deployment", "on_startup", "on_shutdown")

_before_snapshot: list[Hook] = []
_after_restore: list[Hook] = []


def on_deployment(func: Callable[..., Any]) -> staticmethod[..., Any]:
    """Mark a static method that runs once, before the instances of a deployment start.

    A plain function becomes static, as in BentoML.
    """
    marked = _mark(func, "on_deployment")
    return marked if isinstance(marked, staticmethod) else staticmethod(marked)


def on_startup(func: F) -> F:
    """Mark a method (sync or async) that runs in each instance before it serves."""
    return _mark(func, "on_startup")


def on_shutdown(func: F) -> F:
    """Mark a method (sync or async) that runs in each instance after its last request."""
    return _mark(func, "on_shutdown")


def before_snapshot(func: F) -> F:
    """Mark a method (sync or async) that runs before the instance's memory is kept."""
    return _mark(func, "before_snapshot")


def after_restore(func: F) -> F:
    """Mark a method (sync or async) that runs in a restored instance before it serves."""
    return _mark(func, "after_restore")


def register_before_snapshot(func: F, *args: Any, **kwargs: Any) -> F:
    """Have a function called before the snapshot, the last registered first; also a decorator.

    Names and order are those of ``snapshot_restore_py``, so that a module written for Lambda
    SnapStart works here: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    What is registered with that package itself is called too, as if it had been registered first.
    """
    _before_snapshot.append(partial(func, *args, **kwargs))
    return func


def register_after_restore(func: F, *args: Any, **kwargs: Any) -> F:
    """Have a function called after a restore, the first registered first; also a decorator."""
    _after_restore.append(partial(func, *args, **kwargs))
    return func


def marked(instance_or_cls: object, kind: str) -> list[Hook]:
    """The methods marked for a turning point.

    Those of BentoML's own kinds come in the order of their names, as in BentoML, the others in
    the order of their definition.

    Args:
        instance_or_cls: A service's instance, or its class for ``on_deployment``.
        kind: The name of the decorator.

    An instance's come after those of its dependencies in this process, at its end before them.
    """
    service = getattr(instance_or_cls, "bento_service", None)
    if isinstance(instance_or_cls, type) or service is None or not service.dependencies:
        return _own(instance_or_cls, kind)
    instances = [*in_process(service), instance_or_cls]
    if kind == "on_shutdown":
        instances.reverse()
    return [hook for each in instances for hook in _own(each, kind)]


def _own(instance_or_cls: object, kind: str) -> list[Hook]:
    is_class = isinstance(instance_or_cls, type)
    cls = cast(type, instance_or_cls) if is_class else type(instance_or_cls)
    members = declared_members(cls)
    marks = {name: getattr(function_of(each), _MARK, ()) for name, each in members.items()}
    names = [name for name in marks if kind in marks[name]]
    if kind in _BY_NAME:
        names.sort()
    return [getattr(instance_or_cls, name) for name in names]


def check_hooks(cls: type) -> None:
    """Check the marked methods of a class.

    Raises:
        UserError: An ``on_deployment`` method needs an instance.
    """
    for hook in marked(cls, "on_deployment"):
        if inspect.signature(hook).parameters:
            raise UserError(
                f"{cls.__name__}: the on_deployment method {hook.__name__!r} runs before there is "
                "an instance; make it a static method without parameters."
            )


def run_before_snapshot(instance: object) -> None:
    """Run every hook that is due before the memory is kept: last registered, first run.

    Raises:
        UserError: A hook raised; the sentence names it.
    """
    functions = [*_of_package("get_before_snapshot"), *_before_snapshot]
    for hook in reversed([*functions, *marked(instance, "before_snapshot")]):
        _run(hook, "before_snapshot")


def run_after_restore(instance: object, *, registered: bool = True) -> None:
    """Run every hook that is due after a restore: first registered, first run.

    Args:
        instance: A service's instance.
        registered: Whether those of ``snapshot_restore_py`` are run too, which Lambda's client
            does itself.

    Raises:
        UserError: A hook raised; the sentence names it.
    """
    package = _of_package("get_after_restore") if registered else []
    functions = [*package, *_after_restore]
    for hook in [*functions, *marked(instance, "after_restore")]:
        _run(hook, "after_restore")


def _of_package(registry: str) -> list[Hook]:
    """What was registered with ``snapshot_restore_py``, if somebody has imported it."""
    package = sys.modules.get("snapshot_restore_py")
    if package is None:
        return []
    return [partial(func, *args, **kwargs) for func, args, kwargs in getattr(package, registry)()]


def _run(hook: Hook, kind: str) -> None:
    from bentofn.runtime.stages import stage  # declaring a service takes none

    try:
        with stage(f"hook {_name(hook)}"):
            result = hook()
            if inspect.iscoroutine(result):
                from bentofn.runtime.own_loop import run_to_end  # asyncio takes long to import

                run_to_end(result)
    except (Exception, SystemExit) as error:
        traceback.print_exception(type(error), error, error.__traceback__)
        raise UserError(_why_failed(hook, kind, error)) from error


def _name(hook: Hook) -> str:
    func = hook.func if isinstance(hook, partial) else hook
    return str(getattr(func, "__qualname__", func))


def _why_failed(hook: Hook, kind: str, error: BaseException) -> str:
    func = hook.func if isinstance(hook, partial) else hook
    code = getattr(inspect.unwrap(func), "__code__", None)
    where = f" ({_place(code.co_filename, code.co_firstlineno)})" if code else ""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the {kind} hook {_name(hook)}{where} raised "
        f"{type(error).__name__}: {error} ({_place(frame.filename, frame.lineno)})"
    )


def _place(file: str, line: int | None) -> str:
    return f"{os.path.basename(file)}:{line}"  # noqa: PTH119


def _mark(func: F, kind: str) -> F:
    target = function_of(underlying(func))
    if not inspect.isfunction(target):
        raise UserError(f"@bentofn.{kind} is for methods of a service, not for {func!r}.")
    setattr(target, _MARK, (*getattr(target, _MARK, ()), kind))
    return func
