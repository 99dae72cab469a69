"""What must not go into a bento: private keys, tokens, files of passwords.

Only forms that are hardly anything else: a secret that is let through is found by other tools, a
project that is refused without reason makes people turn this off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_TEXT = 16 << 20
"""Bytes of a text file that are looked through; longer ones are data."""

_FIRST = 8192
"""Bytes in which a zero tells a binary file (as git does)."""

_NAMES = {
    ".netrc": "passwords of servers",
    "_netrc": "passwords of servers",
    ".pypirc": "passwords of package indexes",
    ".git-credentials": "passwords of git servers",
    ".dockercfg": "passwords of registries",
    ".htpasswd": "passwords",
    ".pgpass": "passwords of databases",
    "credentials": "cloud credentials",
    "id_rsa": "a private SSH key",
    "id_dsa": "a private SSH key",
    "id_ecdsa": "a private SSH key",
    "id_ed25519": "a private SSH key",
}
_ENDINGS = {".p12": "a private key", ".pfx": "a private key", ".kdbx": "passwords"}
_EXAMPLES = {"example", "examples", "sample", "template", "dist", "defaults", "schema", "tpl"}
"""Endings of ``.env`` files that hold names without values."""

_KINDS: tuple[tuple[str, str, str], ...] = (
    (
        "pem", "a private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|[\"'+,])*"
        r"(?:[A-Z][\w-]+: [^\r\n]*[\r\n]\s*)*[A-Za-z0-9+/=]{32,}",
    ),
    ("aws", "an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "awssecret", "an AWS secret key",
        r"(?i:aws_?secret_?(?:access_?)?key)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    ("github", "a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("githubpat", "a GitHub token", r"\bgithub_pat_[A-Za-z0-9_]{40,255}\b"),
    ("gitlab", "a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    (
        "sk", "an API key",
        r"\bsk-(?:(?:ant|proj|svcacct|admin|or|lf)-[A-Za-z0-9_-]{24,}|[A-Za-z0-9]{32,})",
    ),
    ("hf", "a Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z0-9]{34}\b"),
    ("slack", "a Slack token", r"\bxox[abeoprs]-[0-9A-Za-z-]{20,}"),
    ("slackhook", "a Slack address", r"hooks\.slack\.com/services/T\w+/B\w+/[A-Za-z0-9]{20,}"),
    ("google", "a Google API key", r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])"),
    ("stripe", "a Stripe key", r"\b[rs]k_live_[0-9A-Za-z]{24,}"),
    ("pypi", "a PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    ("npm", "an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("sendgrid", "a SendGrid key", r"\bSG\.[\w-]{22}\.[\w-]{43}"),
    ("azure", "an Azure storage key", r"\bAccountKey=[A-Za-z0-9+/]{86}=="),
)  # fmt: skip
_WHAT = {name: what for name, what, _ in _KINDS}
_SECRET = re.compile("|".join(f"(?P<{name}>{form})" for name, _, form in _KINDS).encode())

_PLACEHOLDER = re.compile(rb"(?i)example|placeholder|your|dummy|fake|xxxx|0000|1234567890")
_LEAST_DISTINCT = 10
"""Different characters that a random token of 20 has; ``aaaa...`` has one."""


@dataclass(frozen=True)
class Secret:
    """Something that looks like a secret; never the thing itself.

    Args:
        what: What it looks like.
        line: Its line, from 1; 0 where the file's name tells it.
    """

    what: str
    line: int = 0


def secret_by_name(path: str) -> Secret | None:
    """What the name of a file says that it holds.

    Args:
        path: The file's path in the project, with ``/``.
    """
    pure = PurePosixPath(path)
    name = pure.name.lower()
    if name == ".env" or (name.startswith(".env.") and name.rpartition(".")[2] not in _EXAMPLES):
        return Secret("a file of variables")
    what = _NAMES.get(name) or _ENDINGS.get(pure.suffix.lower())
    if name == "config.json" and pure.parent.name == ".docker":
        what = "passwords of registries"
    return None if what is None else Secret(what)


def secrets_of_file(path: Path) -> list[Secret]:
    """What looks like a secret in a text file."""
    with path.open("rb") as file:
        start = file.read(_FIRST)
        if b"\0" in start:
            return []
        return list(secrets_of(start + file.read(MAX_TEXT - len(start))))


def secrets_of(text: bytes) -> Iterator[Secret]:
    """What looks like a secret in a text, each kind once a line."""
    seen: set[Secret] = set()
    line, counted = 1, 0
    for match in _SECRET.finditer(text):
        kind = str(match.lastgroup)
        if kind != "pem" and _is_placeholder(match[0]):
            continue
        line += text.count(b"\n", counted, match.start())
        counted = match.start()
        secret = Secret(_WHAT[kind], line)
        if secret not in seen:
            seen.add(secret)
            yield secret


def _is_placeholder(token: bytes) -> bool:
    return len(set(token)) < _LEAST_DISTINCT or _PLACEHOLDER.search(token) is not None
