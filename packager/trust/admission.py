"""Refuses a project that would pack secrets or dangerous pickles, before anything is made of it.

What a file holds is remembered by its digest, so that a file that did not change is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from bentofn.packager.code.sources import IGNORE_FILE, HashedTree, SourceFile
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.trust.kinds import ADMISSION_RULES
from bentofn.packager.trust.pickle_files import find_pickles
from bentofn.packager.trust.pickles import PickleReport
from bentofn.packager.trust.secrets import (
    Secret,
    secret_by_name,
    secrets_of,
    secrets_of_file,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

_SHOWN = 8
"""Findings, or imports, that a message names."""


@dataclass(frozen=True)
class Allowed:
    """What the user vouches for, by path in the project.

    Args:
        secrets: Files that may hold what looks like secrets; ``env:NAME`` is a variable.
        pickles: Files that may hold any pickle.
    """

    secrets: frozenset[str] = frozenset()
    pickles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, secrets: Iterable[str], pickles: Iterable[str]) -> Allowed:
        """As the user wrote them: ``./a`` is ``a``."""
        return cls(
            frozenset(str(PurePosixPath(each)) for each in secrets),
            frozenset(str(PurePosixPath(each)) for each in pickles),
        )


@dataclass(frozen=True)
class Content:
    """What was found in a file.

    Args:
        secrets: What looks like secrets in its text.
        pickle: What its pickles would import, or None if it holds none.
    """

    secrets: tuple[Secret, ...] = ()
    pickle: PickleReport | None = None


def admit(
    tree: HashedTree,
    texts: Mapping[str, str],
    envs: Mapping[str, str],
    allowed: Allowed,
    project: Path,
    home: Home,
) -> tuple[str, ...]:
    """Look through what a build would pack.

    Args:
        tree: The project's files.
        texts: Name to text of what is packed besides, such as a setup script.
        envs: The environment variables that the bento would carry.
        allowed: What the user vouches for.
        project: The project's folder, which names the cache.
        home: Where the cache is.

    Returns:
        What the user should know, one sentence each.

    Raises:
        UserError: Something is refused; the message names the places, never what stands there.
    """
    contents = _contents(tree, project, home)
    names = {file.path: _name(file, project) for file in tree.files}
    places: dict[str, list[Secret]] = {}
    for path, name in names.items():
        named = secret_by_name(path)
        places[name] = [*([named] if named else []), *contents[path].secrets]
    for name, text in texts.items():
        places.setdefault(name, []).extend(secrets_of(text.encode()))
    for name, value in envs.items():
        places[f"env:{name}"] = [Secret(each.what) for each in secrets_of(value.encode())]
    _refuse_secrets({p: found for p, found in places.items() if p not in allowed.secrets})
    reports = {names[path]: c.pickle for path, c in contents.items() if c.pickle is not None}
    return _judge_pickles(reports, allowed)


def _name(file: SourceFile, project: Path) -> str:
    """A file's path in the project, where the user finds it."""
    inside = file.source.is_relative_to(project)
    return file.source.relative_to(project).as_posix() if inside else file.path


def _refuse_secrets(places: Mapping[str, Sequence[Secret]]) -> None:
    found = [
        f"{place}:{secret.line} ({secret.what})" if secret.line else f"{place} ({secret.what})"
        for place, secrets in places.items()
        for secret in secrets
    ]
    if not found:
        return
    first = next(place for place, secrets in places.items() if secrets)
    if first.startswith("env:"):
        cure = (
            "declare the variable without a value and give it where the service is deployed, "
            f"or vouch for it with --allow-secret {first}"
        )
    else:
        cure = (
            f"take it out, list the file in {IGNORE_FILE}, "
            f"or vouch for it with --allow-secret {first}"
        )
    raise UserError(f"The bento would hold what looks like a secret: {_listed(found)}; {cure}.")


def _judge_pickles(reports: Mapping[str, PickleReport], allowed: Allowed) -> tuple[str, ...]:
    refused = {
        path: f"{path} imports {_listed(report.dangerous)}"
        if report.dangerous
        else f"{path} cannot be read to its end"
        for path, report in reports.items()
        if path not in allowed.pickles and _is_refused(report)
    }
    if refused:
        raise UserError(
            f"The bento would hold a pickle that could run any code when it is loaded: "
            f"{_listed(list(refused.values()))}; save it in another format, list the file in "
            f"{IGNORE_FILE}, or vouch for it with --allow-pickle {next(iter(refused))}."
        )
    return tuple(_note(path, report, path in allowed.pickles) for path, report in reports.items())


def _is_refused(report: PickleReport) -> bool:
    return bool(report.dangerous) or report.broken


def _note(path: str, report: PickleReport, vouched: bool) -> str:
    imports = f" that imports {_listed(report.other)}" if report.other else ""
    if vouched:
        return f"{path} holds a pickle{imports}; it is packed because you vouch for it."
    return (
        f"{path} holds a pickle{imports}; nothing dangerous was found in it, "
        "but a model in the model store (`bentofn models import`) needs none."
    )


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def _contents(tree: HashedTree, project: Path, home: Home) -> dict[str, Content]:
    name = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()
    cache = home.cache / "scans" / f"{name}.json"
    known = _read(cache)
    entries: dict[str, object] = {}
    found: dict[str, Content] = {}
    for file in tree.files:
        suffix = PurePosixPath(file.path).suffix.lower()
        key = f"{ADMISSION_RULES}{suffix} {tree.digests[file.path]}"
        entries[key] = known.get(key)
        content = _content(entries[key])
        if content is None:
            secrets = secrets_of_file(file.source)
            content = Content(tuple(secrets), find_pickles(file.source, file.path))
            entries[key] = asdict(content)
        found[file.path] = content
    if entries != known:
        home.directory(cache.parent)
        atomic_write(cache, canonical_json(entries))
    return found


def _read(cache: Path) -> dict[str, object]:
    try:
        return dict(json.loads(cache.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _content(raw: object) -> Content | None:
    if not isinstance(raw, dict):
        return None
    try:
        pickle = raw["pickle"]
        return Content(
            tuple(Secret(**secret) for secret in raw["secrets"]),
            None
            if pickle is None
            else PickleReport(
                _strings(pickle["dangerous"]),
                _strings(pickle["other"]),
                _strings(pickle["plain"]),
                bool(pickle["broken"]),
            ),
        )
    except (KeyError, TypeError):
        return None


def _strings(raw: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(each) for each in raw)
