"""The classes of a client in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bentofn.packager.clients.interface import Operation, Typed
from bentofn.packager.clients.names import is_identifier, pascal_case, unused
from bentofn.packager.clients.python_types import PythonTypes, docstring, string
from bentofn.packager.clients.schemas import chunk_of
from bentofn.runtime.client import AsyncHTTPClient, SyncHTTPClient

HTTP = "_http"
"""Where a client keeps bentofn's own."""

_CHUNKS = {"text": "str", "bytes": "bytes"}

Methods = Sequence[tuple[str, Typed]]


class Classes:
    """Writes them, the synchronous client first.

    Args:
        stem: The synchronous client's name.
        tasks: The names of the methods that are tasks.
    """

    def __init__(self, stem: str, tasks: Iterable[str]) -> None:
        self._stem = stem
        self._tasks: dict[str, str] = {}
        for member in tasks:
            taken = {stem, f"Async{stem}", *self._tasks.values()}
            self._tasks[member] = unused(f"{pascal_case(member)}Task", taken)

    @property
    def names(self) -> set[str]:
        """The names of all classes."""
        stems = (self._stem, *self._tasks.values())
        return {f"{prefix}{stem}" for prefix in ("", "Async") for stem in stems}

    def written(self, service: str, methods: Methods, types: PythonTypes) -> list[str]:
        """Their sources.

        Args:
            service: The service's name.
            methods: Each method's name, and what it calls.
            types: Writes types.
        """
        written = []
        for writer in (_Sync(types, self._tasks), _Async(types, self._tasks)):
            tasks = [(name, each) for name, each in methods if each.operation.is_task]
            written += [writer.task(name, each) for name, each in tasks]
            written.append(writer.client(self._stem, service, methods))
        return written


class _Sync:
    prefix, before, awaited = "", "", ""
    iterator, http, task_type = "Iterator", "bentofn.SyncHTTPClient", "Task"

    def __init__(self, types: PythonTypes, tasks: Mapping[str, str]) -> None:
        self._types = types
        self._tasks = tasks

    def client(self, stem: str, service: str, methods: Methods) -> str:
        name = f"{self.prefix}{stem}"
        tasks = [
            f"        self.{member} = {self.prefix}{self._tasks[member]}(self.{HTTP})\n"
            for member, each in methods
            if each.operation.is_task
        ]
        calls = [
            f"\n{self.call(member, each)}" for member, each in methods if not each.operation.is_task
        ]
        about = f"Calls {service}. The options are those of ``{self.http}``."
        return (
            f"class {name}:\n"
            f"{docstring(about, '    ')}\n"
            "    def __init__(self, url: str, **options: Any) -> None:\n"
            f"        self.{HTTP} = {self.http}(url, **options)\n"
            f"{''.join(tasks)}\n{self.context(name)}{''.join(calls)}"
        )

    def context(self, name: str) -> str:
        return (
            f"    def __enter__(self) -> {name}:\n        return self\n\n"
            "    def __exit__(self, *exception: object) -> None:\n        self.close()\n\n"
            "    def close(self) -> None:\n"
            '        """Close the connections."""\n'
            f"        self.{HTTP}.close()\n"
        )

    def task(self, member: str, typed: Typed) -> str:
        result = "Any" if typed.operation.is_stream else self._result(typed)
        takes, passes = self._arguments(typed)
        task = f"{self.task_type}[{result}]"
        method = _attribute(typed.operation)
        return (
            f"class {self.prefix}{self._tasks[member]}:\n"
            f"{docstring(typed.operation.doc, '    ')}\n"
            f"    def __init__(self, http: {self.http}) -> None:\n"
            f"        self.{HTTP} = http\n\n"
            f"{self.call('__call__', typed)}\n"
            f"    {self.before}def submit(self{takes}) -> {task}:\n"
            '        """Queue a call."""\n'
            f"        task: {task} = {self.awaited}{method}.submit({passes})\n"
            "        return task\n"
        )

    def call(self, member: str, typed: Typed) -> str:
        operation = typed.operation
        takes, passes = self._arguments(typed)
        named = ", ".join(filter(None, (string(operation.name), passes)))
        result, before, awaited = self._result(typed), self.before, self.awaited
        if operation.is_stream:
            result, before, awaited = f"{self.iterator}[{self._chunk(typed)}]", "", ""
        doc = "" if member == "__call__" else docstring(operation.doc, "        ")
        return (
            f"    {before}def {member}(self{takes}) -> {result}:\n{doc}"
            f"        result: {result} = {awaited}self.{HTTP}.call({named})\n"
            "        return result\n"
        )

    def _result(self, typed: Typed) -> str:
        return self._types.type_of(typed.output, is_sent=False)

    def _chunk(self, typed: Typed) -> str:
        return _CHUNKS.get(chunk_of(typed.operation.output)) or self._result(typed)

    def _arguments(self, typed: Typed) -> tuple[str, str]:
        """What a method takes after ``self``, and what it passes on."""
        if typed.input is None:
            return "", ""
        type_ = self._types.type_of(typed.input, is_sent=True)
        if typed.operation.is_root:
            return f", value: {type_}, /", "value"
        return f", **arguments: Unpack[{type_}]", "**arguments"


class _Async(_Sync):
    prefix, before, awaited = "Async", "async ", "await "
    iterator, http, task_type = "AsyncIterator", "bentofn.AsyncHTTPClient", "AsyncTask"

    def context(self, name: str) -> str:
        return (
            f"    async def __aenter__(self) -> {name}:\n"
            f"        await self.{HTTP}.__aenter__()\n        return self\n\n"
            "    async def __aexit__(self, *exception: object) -> None:\n"
            "        await self.close()\n\n"
            "    async def close(self) -> None:\n"
            '        """Close the connections."""\n'
            f"        await self.{HTTP}.close()\n"
        )


def _attribute(operation: Operation) -> str:
    """bentofn's own method of an endpoint, which gives way to what every client has."""
    name = operation.name
    clients = (SyncHTTPClient, AsyncHTTPClient)
    own = vars(AsyncHTTPClient("http://service"))  # which connects when it is entered
    if name in own or any(hasattr(client, name) for client in clients):
        name = f"api_{name}"
    if is_identifier(name):
        return f"self.{HTTP}.{name}"
    return f"getattr(self.{HTTP}, {string(name)})"
