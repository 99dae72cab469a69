"""pip's own configuration, so that a bento's packages come from where pip would take them.

Files, their order and their sections: https://pip.pypa.io/en/stable/topics/configuration/
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bentofn.packager.environment.index_settings import IndexSettings
from bentofn.runtime.errors import UserError

_SECTIONS = ("global", "install")
_TRUE = {"y", "yes", "t", "true", "on", "1"}
_FALSE = {"n", "no", "f", "false", "off", "0"}


def read_pip_config(environ: Mapping[str, str], *, prefix: str = sys.prefix) -> IndexSettings:
    """Read what pip's files and ``PIP_*`` variables say about packages.

    Args:
        environ: The environment.
        prefix: Root of the interpreter whose ``pip.conf`` counts (pip's "site" file).

    Raises:
        UserError: A file or a value cannot be read; the message names it, but never its content.
    """
    values = _merge([_read(path) for path in config_files(environ, prefix)], environ)
    return IndexSettings(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        no_index=_flag("no-index", values.get("no-index", "no")),
        cert=_expanded(values.get("cert")),
        proxy=values.get("proxy"),
        timeout=_seconds(values.get("timeout") or values.get("default-timeout")),
        retries=_number("retries", values.get("retries")),
        prerelease=_flag("pre", values.get("pre", "no")),
    )


def config_files(environ: Mapping[str, str], prefix: str) -> list[Path]:
    """pip's configuration files, the weakest first; some do not exist."""
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return []
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        shared = [Path("/Library/Application Support/pip/pip.conf")]
        support = home / "Library" / "Application Support" / "pip"
        user = support if support.is_dir() else home / ".config" / "pip"
    else:
        folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
        shared = [Path(folder) / "pip" / "pip.conf" for folder in folders if folder]
        shared.append(Path("/etc/pip.conf"))
        user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    files = [*shared, home / ".pip" / "pip.conf", user / "pip.conf", Path(prefix) / "pip.conf"]
    return [*files, Path(own)] if own else files


def _read(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        text = path.read_text(encoding="utf-8")
        parser.read_string(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (configparser.Error, UnicodeDecodeError):
        raise UserError(
            f"pip's configuration file {path} cannot be read; run `pip config list` to see why."
        ) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _merge(files: list[dict[str, dict[str, str]]], environ: Mapping[str, str]) -> dict[str, str]:
    # A stronger section beats a stronger file, as in pip's ConfigOptionParser.
    merged: dict[str, str] = {}
    for section in _SECTIONS:
        for file in files:
            values = {_name(key): value for key, value in file.get(section, {}).items()}
            merged.update({key: value for key, value in values.items() if value})
    for key, value in environ.items():
        if key.startswith("PIP_") and value:
            merged[_name(key[4:])] = value
    return merged


def _name(key: str) -> str:
    return key.lower().replace("_", "-").removeprefix("--")


def _flag(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise UserError(f"pip's configuration says {name} = {value}; write true or false.")


def _seconds(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return max(1, round(float(value)))
    except ValueError:
        raise UserError(f"pip's configuration says timeout = {value}; write seconds.") from None


def _number(name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isdecimal():
        raise UserError(f"pip's configuration says {name} = {value}; write a number.")
    return int(value)


def _expanded(path: str | None) -> str | None:
    return str(Path(path).expanduser()) if path else None
