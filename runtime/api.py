"""``@bentofn.api`` and ``@bentofn.task``: mark a method of a service as an endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar, cast, overload

from bentofn.runtime.bound import FieldDefault, bind, fields_of
from bentofn.runtime.errors import UserError
from bentofn.runtime.members import declared_members

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class APIMethod:
    """An endpoint as declared; read from an instance it is the instance's method.

    Args:
        name: The method's name.
        func: The undecorated function.
        route: The path it answers on, with a leading slash.
        input_spec: Pydantic model of the request body, in place of the parameters' annotations.
        output_spec: Type of the response body, in place of the return annotation.
        batchable: Whether concurrent calls are joined into one.
        batch_dim: Axis along which inputs are joined and outputs split.
        max_batch_size: Items in one batch at most.
        max_latency_ms: Milliseconds after which a waiting call is answered with 503.
        examples: Request bodies that the method answers correctly.
        is_task: Whether calls may be submitted, to be run later.
    """

    name: str
    func: Callable[..., Any]
    route: str
    input_spec: Any = None
    output_spec: Any = None
    batchable: bool = False
    batch_dim: tuple[int, int] = (0, 0)
    max_batch_size: int = 100
    max_latency_ms: int = 60_000
    examples: tuple[Mapping[str, Any], ...] = ()
    is_task: bool = False

    @cached_property
    def _fields(self) -> tuple[FieldDefault, ...]:
        return fields_of(self.func)

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else bind(self.func, instance, self._fields)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, as ``Base.predict(self, x)`` does in a subclass."""
        return self.func(*args, **kwargs)

    @property
    def is_stream(self) -> bool:
        """Whether the method is a generator."""
        return inspect.isgeneratorfunction(self.func) or inspect.isasyncgenfunction(self.func)

    @property
    def doc(self) -> str:
        """The method's docstring, without its indentation."""
        return inspect.getdoc(self.func) or ""

    @property
    def location(self) -> str:
        """``Class.method``, for messages."""
        return self.func.__qualname__.rpartition("<locals>.")[2]


class EndpointDecorator:
    """Declares a method as an endpoint: ``@bentofn.api`` or ``@bentofn.task``.

    What it takes stands at :meth:`__call__`.

    Args:
        name: Which of the two it is.
    """

    def __init__(self, name: Literal["api", "task"]) -> None:
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<decorator bentofn.{self.__name__}>"

    @overload
    def __call__(self, func: F, /) -> F: ...

    @overload
    def __call__(
        self,
        /,
        *,
        route: str | None = ...,
        name: str | None = ...,
        input_spec: Any = ...,
        output_spec: Any = ...,
        batchable: bool = ...,
        batch_dim: int | tuple[int, int] = ...,
        max_batch_size: int = ...,
        max_latency_ms: int = ...,
        examples: list[dict[str, Any]] | None = ...,
    ) -> Callable[[F], F]: ...

    def __call__(
        self,
        func: F | None = None,
        /,
        *,
        route: str | None = None,
        name: str | None = None,
        input_spec: Any = None,
        output_spec: Any = None,
        batchable: bool = False,
        batch_dim: int | tuple[int, int] = 0,
        max_batch_size: int = 100,
        max_latency_ms: int = 60_000,
        examples: list[dict[str, Any]] | None = None,
    ) -> F | Callable[[F], F]:
        """Declare a method as an endpoint. The method itself stays callable as it was.

        Args:
            func: The method, when the decorator is used bare.
            route: Path with a leading slash; by default ``/<method>``, and ``/`` for ``__call__``.
            name: Accepted for BentoML's sake and ignored, as BentoML does.
            input_spec: Pydantic model of the request body.
            output_spec: Type of the response body.
            batchable: Join concurrent calls into one; the method then takes one parameter
                that holds many items and returns as many.
            batch_dim: Axis along which inputs are joined and outputs split, or the two of them.
            max_batch_size: Items in one batch at most; above 1.
            max_latency_ms: Milliseconds after which a waiting call is answered with 503.
            examples: JSON bodies (an object keyed by parameter, or ``{"root": value}``) that the
                service answers; used for warming up, for the documentation and while building.

        Raises:
            UserError: An argument cannot be used.
            ValueError: The method is a task and a generator.
        """

        def mark(function: F) -> F:
            if not inspect.isfunction(function):
                raise UserError(f"{self._said} is for methods of a service, not for {function!r}.")
            method_name = function.__name__
            default_route = "/" if method_name == "__call__" else f"/{method_name}"
            method = APIMethod(
                name=method_name,
                func=function,
                route=default_route if route is None else route,
                input_spec=input_spec,
                output_spec=output_spec,
                batchable=batchable,
                batch_dim=batch_dim if isinstance(batch_dim, tuple) else (batch_dim, batch_dim),
                max_batch_size=max_batch_size,
                max_latency_ms=max_latency_ms,
                examples=tuple(examples or ()),
                is_task=self.__name__ == "task",
            )
            _check(method, f"{self._said} on {method.location}")
            return cast(F, method)

        return mark if func is None else mark(func)

    @property
    def _said(self) -> str:
        return f"@bentofn.{self.__name__}"


api = EndpointDecorator("api")
"""``@bentofn.api``: the method answers requests."""

task = EndpointDecorator("task")
"""``@bentofn.task``: calls of the method may be submitted too, to be run when there is room."""


def find_apis(cls: type) -> dict[str, APIMethod]:
    """The endpoints of a class, inherited ones included, in the order of their definition."""
    found = {name: _endpoint(member) for name, member in declared_members(cls).items()}
    return {name: endpoint for name, endpoint in found.items() if endpoint is not None}


def _endpoint(member: Any) -> APIMethod | None:
    """The endpoint that a member is, or that a decorator of the user's wraps."""
    while member is not None and not isinstance(member, APIMethod):
        member = vars(member).get("__wrapped__") if inspect.isfunction(member) else None
    return member


def function_of(member: Any) -> Any:
    """The function of a member that is an endpoint, or the member itself."""
    return member.func if isinstance(member, APIMethod) else member


def _check(method: APIMethod, where: str) -> None:
    if method.is_task and method.is_stream:
        raise ValueError(f"{where}: a task's result is asked for later and cannot be a stream.")
    if not method.route.startswith("/"):
        raise UserError(f"{where}: route {method.route!r} must start with a slash.")
    if len(method.batch_dim) != 2 or not all(isinstance(dim, int) for dim in method.batch_dim):
        raise UserError(f"{where}: batch_dim must be an axis or a pair of axes (in, out).")
    if method.max_batch_size <= 1:
        raise UserError(f"{where}: max_batch_size must be above 1, not {method.max_batch_size}.")
    if method.max_latency_ms <= 0:
        raise UserError(f"{where}: max_latency_ms must be above 0, not {method.max_latency_ms}.")
    if not all(isinstance(example, Mapping) for example in method.examples):
        raise UserError(
            f"{where}: each example is a JSON object keyed by parameter, such as "
            '{"texts": ["hello"]}, or {"root": value}.'
        )
