"""BentoML's variables that change services' configuration where they run.

``BENTOML_CONFIG`` names a YAML file, ``BENTOML_CONFIG_OVERRIDES`` holds JSON and
``BENTOML_CONFIG_OPTIONS`` assignments such as ``services.Echo.traffic.timeout=10``; each overrides
those before it. What stands below ``services`` itself is for every service, what stands below a
service's name for that one.

Source: bentoml/_internal/configuration of BentoML 1.4
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

FILE = "BENTOML_CONFIG"
JSON = "BENTOML_CONFIG_OVERRIDES"
OPTIONS = "BENTOML_CONFIG_OPTIONS"

_OPTION = re.compile(r'(?:[^\s"]|"[^"]*")+')
_STEP = re.compile(r'"([^"]*)"|([^."]+)')


def override(
    name: str, config: Mapping[str, Any], keys: Iterable[str], env: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """A service's configuration with what the environment overrides.

    Args:
        name: The service's name.
        config: As its code says.
        keys: The keys that a configuration has; others below ``services`` are names of services.
        env: The environment.

    Raises:
        UserError: A variable cannot be read.
    """
    merged = dict(config)
    for document in _documents(env):
        services = document.get("services", {})
        if not isinstance(services, Mapping):
            raise UserError(f"{FILE} must hold a mapping as services, not {services!r}.")
        merged = _merge(merged, {key: services[key] for key in keys if key in services})
        merged = _merge(merged, services.get(name) or {})
    return merged


def _documents(env: Mapping[str, str]) -> list[Mapping[str, Any]]:
    documents = []
    if env.get(FILE):
        documents.append(_of_file(Path(env[FILE])))
    if env.get(JSON):
        documents.append(_mapping(JSON, env[JSON]))
    if env.get(OPTIONS):
        documents.append(_of_options(env[OPTIONS]))
    return documents


def _of_file(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{FILE} names {path}, which cannot be read.") from None
    try:
        return _mapping(FILE, text)
    except UserError:
        pass  # JSON is YAML, and is read without its parser
    try:
        import yaml
    except ImportError:
        raise UserError(
            f"{FILE} names {path}, which is YAML: install PyYAML, or write it as JSON."
        ) from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        raise UserError(f"{FILE} names {path}, which holds no mapping.")
    return document


def _mapping(variable: str, text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UserError(f"{variable} must hold a JSON object.")
    return document


def _of_options(text: str) -> Mapping[str, Any]:
    document: dict[str, Any] = {}
    for option in _OPTION.findall(text):
        path, equals, value = option.partition("=")
        steps = [quoted or plain for quoted, plain in _STEP.findall(path)]
        if not equals or not steps:
            raise UserError(f"{OPTIONS} holds {option!r}; write services.NAME.traffic.timeout=10.")
        given: Any = _scalar(value)
        for step in reversed(steps):
            given = {step: given}
        document = _merge(document, given)
    return document


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip('"')


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = _merge(below, value)
        merged[key] = value
    return merged
