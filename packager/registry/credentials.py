"""Credentials for a registry, as Docker's configuration says.

https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

HELPER_TIMEOUT = 60.0
"""Seconds that a credential helper may take; some ask the user."""

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_IDENTITY = "<token>"
"""The user name by which a helper says that its secret is a refresh token."""


@dataclass(frozen=True)
class Credentials:
    """What a registry is told; never printed.

    Args:
        username: The user's name.
        password: The password, or a token in its place.
        identity_token: An OAuth2 refresh token, instead of the two.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of the header ``Authorization``."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credentials(registry: str, environment: Mapping[str, str]) -> Credentials | None:
    """What Docker's configuration holds for a registry.

    Args:
        registry: Host, with its port if it has one.
        environment: The process's variables; ``DOCKER_CONFIG`` names another folder.

    Returns:
        The credentials, or None where there are none.

    Raises:
        UserError: The configuration or a credential helper is broken.
    """
    folder = environment.get("DOCKER_CONFIG")
    path = (Path(folder).expanduser() if folder else Path.home() / ".docker") / "config.json"
    config = _read(path)
    server = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    try:
        helper = (config.get("credHelpers") or {}).get(server) or config.get("credsStore")
        if helper:
            found = _ask(str(helper), server)
            if found is not None:
                return found
        for name, entry in (config.get("auths") or {}).items():
            if _host(name) == _host(server) and (credentials := _inline(entry)) is not None:
                return credentials
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} holds credentials for {registry} that cannot be read; "
            f"log in again with: docker login {registry}."
        ) from error
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON; mend it or move it away.") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a JSON object; mend it or move it away.")
    return config


def _host(name: str) -> str:
    return re.sub(r"^https?://", "", name).partition("/")[0]


def _inline(entry: Mapping[str, str]) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(identity_token=entry["identitytoken"])
    if entry.get("auth"):
        pair = base64.b64decode(entry["auth"], validate=True).decode().rstrip("\0")
        username, _, password = pair.partition(":")
        return Credentials(username, password)
    if entry.get("username"):
        return Credentials(entry["username"], entry.get("password", ""))
    return None


def _ask(helper: str, server: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise ValueError("not a helper's name")
    try:
        done = subprocess.run(
            [program, "get"],
            input=server,
            capture_output=True,
            text=True,
            timeout=HELPER_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(
            f"Docker's configuration names the credential helper {program}, which cannot be run; "
            "install it, or take it out of the configuration."
        ) from error
    if done.returncode:
        return None  # by the helpers' protocol: it has none for this server
    answer = json.loads(done.stdout)
    username, secret = str(answer["Username"]), str(answer["Secret"])
    if username == _IDENTITY:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)
