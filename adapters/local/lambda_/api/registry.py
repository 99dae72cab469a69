"""What is set for functions by Lambda's API: aliases, rules of events, reserved concurrency."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from bentofn.adapters.local.core.invocations.concurrency import Concurrency
from bentofn.adapters.local.core.invocations.policy import Policy
from bentofn.adapters.local.lambda_.api.aliases import Alias
from bentofn.adapters.local.lambda_.api.disk import Disk
from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.names import LATEST
from bentofn.adapters.local.lambda_.api.store import Store
from bentofn.runtime.errors import UserError

_ALIAS, _EVENTS, _RESERVED = "alias", "event-invoke-config", "concurrency"
_T = TypeVar("_T")


class Registry:
    """Settings in memory, and each change on disk before it holds.

    Args:
        path: The database; it is opened when it exists or something is to be kept.
        concurrency: Told what functions reserve.

    Raises:
        UserError: The database is damaged.
    """

    def __init__(self, path: Path, concurrency: Concurrency) -> None:
        self.concurrency = concurrency
        self.disk = Disk(path)
        self._aliases: dict[str, dict[str, Alias]] = {}
        self._configs: dict[str, dict[str, dict[str, Any]]] = {}
        try:
            if (store := self.disk.existing()) is not None:
                self._load(store)
        except (OSError, sqlite3.Error, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({error}); move it away, and set aliases and limits of "
                "functions again."
            ) from error

    def functions(self) -> set[str]:
        """Those for which anything is set."""
        return {*self._aliases, *self._configs, *self.concurrency.reserving()}

    def aliases(self, function: str) -> list[Alias]:
        """A function's aliases by name."""
        return [alias for _, alias in sorted(self._aliases.get(function, {}).items())]

    def alias(self, function: str, name: str) -> Alias | None:
        """One, if it is there."""
        return self._aliases.get(function, {}).get(name)

    async def set_alias(self, function: str, name: str, alias: Alias | None) -> None:
        """Make, change or, with None, remove one."""
        document = None
        if alias is not None:
            document = {
                "version": alias.version,
                "description": alias.description,
                "weights": dict(alias.weights),
                "revision": alias.revision,
            }
        await self.disk.call(lambda store: store.set(function, _ALIAS, name, document))
        _put(self._aliases, function, name, alias)

    def event_configs(self, function: str) -> Mapping[str, dict[str, Any]]:
        """A function's rules for events by qualifier, as the API describes them."""
        return self._configs.get(function, {})

    async def set_event_config(
        self, function: str, qualifier: str, document: dict[str, Any] | None
    ) -> None:
        """Set or, with None, remove the rules for the events of a version or alias."""
        await self.disk.call(lambda store: store.set(function, _EVENTS, qualifier, document))
        _put(self._configs, function, qualifier, document)

    def policy(self, function: str, qualifier: str) -> Policy:
        """The rules for the events of a version or alias."""
        document = self._configs.get(function, {}).get(qualifier or LATEST, {})
        destinations = document.get("DestinationConfig") or {}
        usual = Policy()
        return Policy(
            retries=document.get("MaximumRetryAttempts", usual.retries),
            age=document.get("MaximumEventAgeInSeconds", usual.age),
            on_success=(destinations.get("OnSuccess") or {}).get("Destination"),
            on_failure=(destinations.get("OnFailure") or {}).get("Destination"),
        )

    async def set_reserved(self, function: str, amount: int | None) -> bool:
        """Reserve concurrency, None for no more; False if too little were left to others."""
        former = self.concurrency.reserved(function)
        if not self.concurrency.reserve(function, amount):
            return False
        document = None if amount is None else {"reserved": amount}
        try:
            await self.disk.call(lambda store: store.set(function, _RESERVED, "", document))
        except LambdaError:
            self.concurrency.reserve(function, former)
            raise
        return True

    async def forget(self, function: str) -> None:
        """A function is no more."""
        self._aliases.pop(function, None)
        self._configs.pop(function, None)
        self.concurrency.forget(function)
        if self.disk.used:
            await self.disk.call(lambda store: store.forget(function))

    def _load(self, store: Store) -> None:
        for function, kind, name, document in store.settings():
            if kind == _ALIAS:
                _put(self._aliases, function, name, Alias(name, **document))
            elif kind == _EVENTS:
                _put(self._configs, function, name, document)
            elif kind == _RESERVED:
                self.concurrency.reserve(function, document["reserved"])


def _put(table: dict[str, dict[str, _T]], function: str, name: str, value: _T | None) -> None:
    if value is not None:
        table.setdefault(function, {})[name] = value
    else:
        table.get(function, {}).pop(name, None)
