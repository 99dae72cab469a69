"""The Python packages of a bento: from its lock, and from what was installed by it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from pathlib import Path

from bentofn.packager.environment.names import normalised

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*"
    r"(?:==\s*(?P<version>[^\s;]+)|@\s*(?P<url>\S+))"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CREDENTIALS = re.compile(r"//[^/@]*@")
_LONGEST_LICENSE = 100
"""Characters of a licence's name; longer ones are its text."""


@dataclass(frozen=True)
class Package:
    """A distribution.

    Args:
        name: Its name, normalised (PEP 503).
        version: Its version, or "" where it is not known.
        hashes: SHA-256 of the files that the lock takes for it, in hex.
        url: Where it comes from if that is no index.
        license: An SPDX expression, or a name, or "".
    """

    name: str
    version: str = ""
    hashes: tuple[str, ...] = ()
    url: str = ""
    license: str = ""

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec/blob/main/types/pypi-definition.json"""
        return f"pkg:pypi/{self.name}@{self.version}" if self.version else f"pkg:pypi/{self.name}"


def locked_packages(lock: Sequence[str]) -> list[Package]:
    """The packages of a lock, in its order.

    Args:
        lock: One requirement with its hashes a line, as ``BentoManifest.lock``.
    """
    found = []
    for line in lock:
        match = _LINE.match(line)
        if match is not None:
            url = _CREDENTIALS.sub("//", match["url"] or "")
            hashes = tuple(sorted(set(_HASH.findall(line))))
            found.append(Package(normalised(match["name"]), match["version"] or "", hashes, url))
    return found


def installed_packages(lock: Sequence[str], env: Path) -> list[Package]:
    """The packages of a lock and those that an environment holds, sorted by name.

    Args:
        lock: As of :func:`locked_packages`.
        env: The installed environment, with ``*.dist-info`` folders.
    """
    packages = {package.name: package for package in locked_packages(lock)}
    for metadata in sorted(env.glob("*.dist-info/METADATA")):
        headers = HeaderParser().parsestr(metadata.read_text(encoding="utf-8", errors="replace"))
        name, version = normalised(headers.get("Name", "")), headers.get("Version", "")
        known = packages.get(name, Package(name))
        packages[name] = replace(
            known,
            version=known.version or version,
            license=_license(
                headers.get("License-Expression", ""),
                headers.get("License", ""),
                headers.get_all("Classifier") or [],
            ),
        )
    return [packages[name] for name in sorted(packages)]


def _license(expression: str, text: str, classifiers: Sequence[str]) -> str:
    if expression:
        return expression
    text = " ".join(text.split())
    if 0 < len(text) <= _LONGEST_LICENSE and text.upper() != "UNKNOWN":
        return text
    names = [c.rpartition("::")[2].strip() for c in classifiers if c.startswith("License ::")]
    return ", ".join(names)
