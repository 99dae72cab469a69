"""A place in a YAML document that knows its path, so that every message can say where."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar

from bentofn.adapters.variables import CLOUD_FORMATION, Scope, resolve
from bentofn.runtime.errors import UserError

Literals = TypeVar("Literals", bound=str)


class Node:
    """A value of the document, absent ones included: ``node["a"]["b"]`` never fails.

    Args:
        value: The value, or None where it is absent.
        file: The file's name.
        path: The keys that lead here.
        scope: What variables are read from.
    """

    def __init__(self, value: Any, file: str, path: tuple[str, ...], scope: Scope) -> None:
        self._file = file
        self._path = path
        self._scope = scope
        self.value: Any = resolve(value, self.where, scope) if isinstance(value, str) else value

    @property
    def where(self) -> str:
        """The file and key path."""
        return f"{self._file}: {'.'.join(self._path)}" if self._path else self._file

    @property
    def is_mapping(self) -> bool:
        """Whether there are keys below."""
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether there are items below."""
        return isinstance(self.value, list)

    def error(self, problem: str) -> UserError:
        """A mistake of the user's at this place (values never stand in a message)."""
        return UserError(f"{self.where}: {problem}.")

    def absent(self) -> Node:
        """An absent value at this place."""
        return Node(None, self._file, self._path, self._scope)

    def __getitem__(self, key: str) -> Node:
        value = self._mapping().get(key)
        return Node(value, self._file, (*self._path, key), self._scope)

    def keys(self) -> list[str]:
        """The keys below, in order."""
        return [str(key) for key in self._mapping()]

    def items(self) -> list[Node]:
        """The items of a list; none where it is absent."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error("it must be a list")
        return [
            Node(item, self._file, (*self._path, str(index)), self._scope)
            for index, item in enumerate(self.value)
        ]

    def resolved(self) -> Any:
        """The whole value, with the variables replaced at every depth."""
        if isinstance(self.value, dict):
            return {key: self[key].resolved() for key in self.keys()}
        if isinstance(self.value, list):
            return [item.resolved() for item in self.items()]
        return self.value

    def plain(self) -> Any:
        """The whole value with the variables replaced, as JSON can hold it."""
        return as_json(self.resolved())

    def only(self, known: Sequence[str], what: str = "key") -> None:
        """Refuse keys that are not known, naming the nearest one that is."""
        for key in self.keys():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
                raise UserError(f"{self.where}: there is no {what} {key!r}; {hint}")

    def no_typo(self, read: Sequence[str]) -> None:
        """Refuse a key that is nearly one of those that are read, where others are let through."""
        for key in self.keys():
            near = difflib.get_close_matches(key, read, n=1, cutoff=0.85)
            if near and key not in read:
                raise UserError(f"{self.where}: there is no key {key!r}; did you mean {near[0]!r}?")

    def text(self, default: str | None = None) -> str:
        """A string."""
        if self.value is None and default is not None:
            return default
        if self.value is None:
            raise self.error("it is missing; give it a text")
        if isinstance(self.value, bool | dict | list):
            raise self.error("it must be a text")
        return self.without_cloud_formation(str(self.value))

    def without_cloud_formation(self, text: str) -> str:
        """A text; one with a variable of CloudFormation's would be deployed as it is written."""
        if CLOUD_FORMATION in text:
            raise self.error(
                "a variable as ${AWS::Region} is CloudFormation's, and bentofn makes no stack; "
                "write the value, or ${env:NAME}"
            )
        return text

    def texts(self, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of strings, or one string."""
        if self.value is None:
            return default
        if isinstance(self.value, list):
            return tuple(item.text() for item in self.items())
        return (self.text(),)

    def strings(self) -> dict[str, str]:
        """Environment variables: a mapping of names to texts, numbers or booleans."""
        found: dict[str, str] = {}
        for key in self.keys():
            value = self[key].value
            if isinstance(value, bool):
                found[key] = "true" if value else "false"
            else:
                found[key] = self[key].text(default="")
        return found

    def boolean(self, default: bool) -> bool:
        """True or false."""
        if self.value is None:
            return default
        if self.value in ("true", "false"):
            return bool(self.value == "true")
        if not isinstance(self.value, bool):
            raise self.error("it must be true or false")
        return self.value

    def optional_number(self, *, above: float) -> float | None:
        """A finite number over a limit, or None where absent."""
        if self.value is None:
            return None
        try:
            number = math.nan if isinstance(self.value, bool) else float(self.value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number <= above:
            raise self.error(f"it must be a number over {above:g}")
        return number

    def number(self, *, default: float, above: float) -> float:
        """A finite number over a limit."""
        found = self.optional_number(above=above)
        return default if found is None else found

    def optional_integer(self, *, least: int) -> int | None:
        """A whole number from a limit on, or None where absent."""
        if self.value is None:
            return None
        try:
            number = math.nan if isinstance(self.value, bool) else float(self.value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number != int(number) or number < least:
            raise self.error(f"it must be a whole number, {least} or more")
        return int(number)

    def integer(self, *, default: int, least: int) -> int:
        """A whole number from a limit on."""
        found = self.optional_integer(least=least)
        return default if found is None else found

    def choice(self, default: Literals, *others: Literals) -> Literals:
        """One of several words; absent is the first."""
        for word in (default, *others):
            if self.value is None or self.value == word:
                return word
        raise self.error(f"it must be one of {', '.join((default, *others))}")

    def optional_choice(self, *words: Literals) -> Literals | None:
        """One of several words, or None where absent."""
        if self.value is None:
            return None
        for word in words:
            if self.value == word:
                return word
        raise self.error(f"it must be one of {', '.join(words)}")

    def _mapping(self) -> dict[Any, Any]:
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.error("it must be a mapping of keys to values")
        return self.value


class Overlay(Node):
    """A mapping over another: what both have is taken from the upper one, and knows its own path.

    Args:
        upper: What comes first.
        lower: What is under it.
        keys: Those of the upper one that belong here.
        added: Keys whose mappings are laid over each other in the same way.
    """

    def __init__(
        self, upper: Node, lower: Node, keys: Sequence[str], added: Sequence[str] = ()
    ) -> None:
        over = {key: value for key, value in upper._mapping().items() if key in keys}
        super().__init__({**lower._mapping(), **over}, lower._file, lower._path, lower._scope)
        self._upper, self._lower, self._over, self._added = upper, lower, over, added

    def __getitem__(self, key: str) -> Node:
        if key not in self._over:
            return self._lower[key]
        upper, lower = self._upper[key], self._lower[key]
        if key in self._added and upper.is_mapping and (lower.is_mapping or lower.value is None):
            return Overlay(upper, lower, upper.keys())
        return upper


def as_json(value: Any) -> Any:
    """What YAML read, as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value  # YAML reads 2012-10-17 as one
