"""A service's configuration: BentoML's keys, checked when the service is declared.

Source of the keys: BentoML 1.4, ``_bentoml_sdk/service/config.py`` and
``configuration/v2/default_configuration.yaml``.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bentofn.runtime.errors import UserError
from bentofn.runtime.origin import declaring_frame


class ConfigWarning(UserWarning):
    """A key of a configuration has no effect."""


ServiceConfig = dict[str, Any]

ResourceSchema = dict[str, Any]
"""``resources``: cpu, memory, gpu..."""

TracingSchema = dict[str, Any]
"""``tracing``."""

TrafficSchema = dict[str, Any]
"""``traffic``: timeout, max_concurrency..."""

_CORS_KEYS = (
    "enabled",
    "access_control_allow_origins",
    "access_control_allow_credentials",
    "access_control_allow_methods",
    "access_control_allow_headers",
    "access_control_allow_origin_regex",
    "access_control_max_age",
    "access_control_expose_headers",
)

_KEYS: Mapping[str, tuple[str, ...]] = {
    "backlog": (),
    "endpoints": ("livez", "readyz"),
    "extra_ports": (),
    "grpc": (
        "enabled",
        "host",
        "port",
        "max_concurrent_streams",
        "maximum_concurrent_rpcs",
        "metrics",
        "reflection",
        "channelz",
        "max_message_length",
    ),
    "http": ("host", "port", "proxy_port", "cors", "response", "max_body_size"),
    "http.cors": _CORS_KEYS,
    "logging": ("access",),
    "max_runner_connections": (),
    "metrics": ("enabled", "namespace", "duration"),
    "metrics.duration": ("buckets", "min", "max", "factor"),
    "monitoring": ("enabled", "type", "options"),
    "replicate_process": (),
    "resources": ("cpu", "memory", "gpu", "gpu_type", "tpu_type"),
    "runner_connection": ("max_requests", "max_age"),
    "runner_probe": ("enabled", "timeout", "period"),
    "snapshot": ("warmable",),
    "ssl": (
        "enabled",
        "certfile",
        "keyfile",
        "keyfile_password",
        "ca_certs",
        "version",
        "cert_reqs",
        "ciphers",
    ),
    "threads": (),
    "tracing": (
        "exporter_type",
        "sample_rate",
        "timeout",
        "max_tag_value_length",
        "excluded_urls",
        "zipkin",
        "jaeger",
        "otlp",
    ),
    "traffic": ("timeout", "max_concurrency", "concurrency", "external_queue"),
    "workers": (),
}
"""Keys of each section; a section without keys is a plain value. ``snapshot`` and
``http.max_body_size`` are ours."""

_TOP_LEVEL = tuple(key for key in _KEYS if "." not in key)
_ARGUMENTS = ("name", "description", "path_prefix", "envs", "labels", "image", "cmd")
_WITHOUT_EFFECT: Mapping[str, str] = {
    "extra_ports": "a service has one port, and only BentoCloud opens others",
    "grpc.enabled": "services are served over HTTP",
    "logging.access.format": "a line of the access log holds no ids of traces",
    "max_runner_connections": "it is a limit of the runners before BentoML 1.2",
    "resources.tpu_type": "no target has TPUs",
    "runner_connection": "connections between services are kept for as long as they work",
    "runner_probe.period": "services that others depend on are asked whenever /readyz is",
    "tracing.exporter_type": "traces are not exported",
}
"""BentoML's keys that we take and do not act on, where they say something, with the reason."""

_STRICT = ("resources",)
"""Sections where BentoML refuses a key that it does not know, since what is asked for by it would
be missing."""

_LEAST_BACKLOG = 64
"""BentoML's own limit."""

_STAGES = ("all", "build", "runtime")


@dataclass(frozen=True)
class EnvVar:
    """An environment variable of a service.

    Args:
        name: Its name.
        value: Its value; None when the deployment provides it.
        stage: Where it is set: while building, while running, or both.
    """

    name: str
    value: str | None = None
    stage: Literal["all", "build", "runtime"] = "all"


def check_config(owner: str, config: Mapping[str, Any]) -> ServiceConfig:
    """Check a service's configuration, with what BentoML's variables override.

    An unknown key is warned of and stays without effect.

    Args:
        owner: The service's name.
        config: The keywords given to ``@bentofn.service``.

    Raises:
        UserError: A value that the runtime acts on cannot be used, or a key of ``resources`` is
            unknown.
    """
    if any(name.startswith("BENTOML_CONFIG") for name in os.environ):
        from bentofn.runtime.overrides import override

        config = override(owner, config, _TOP_LEVEL)
    _warn_of_keys(owner, "", config, _TOP_LEVEL, (*_TOP_LEVEL, *_ARGUMENTS))
    for section, value in config.items():
        if section in _KEYS:
            _check_section(owner, section, value)
    for path, reason in _WITHOUT_EFFECT.items():
        if _at(config, path):
            _warn(f"{owner}: {path} in @bentofn.service has no effect: {reason}.")
    traffic = config.get("traffic", {})
    _check_positive(owner, "traffic.timeout", traffic.get("timeout"), (int, float))
    _check_positive(owner, "traffic.max_concurrency", traffic.get("max_concurrency"), (int,))
    _check_positive(owner, "traffic.concurrency", traffic.get("concurrency"), (int,))
    max_body = config.get("http", {}).get("max_body_size")
    _check_positive(owner, "http.max_body_size", max_body, (int,))
    _check_positive(owner, "threads", config.get("threads"), (int,))
    if config.get("workers") != "cpu_count":
        _check_positive(owner, "workers", config.get("workers"), (int,))
    warmable = config.get("snapshot", {}).get("warmable", False)
    if not isinstance(warmable, bool):
        raise UserError(f"{owner}: snapshot.warmable must be True or False, not {warmable!r}.")
    backlog = config.get("backlog", _LEAST_BACKLOG)
    if isinstance(backlog, bool) or not isinstance(backlog, int) or backlog < _LEAST_BACKLOG:
        raise UserError(
            f"{owner}: backlog must be a whole number from {_LEAST_BACKLOG} up, not {backlog!r}."
        )
    duration = config.get("metrics", {}).get("duration", {})
    _check_positive(owner, "metrics.duration.min", duration.get("min"), (int, float))
    if duration.get("factor", 2) <= 1:
        raise UserError(f"{owner}: metrics.duration.factor must be above 1.")
    return dict(config)


def check_envs(owner: str, envs: Iterable[Mapping[str, Any]] | None) -> list[EnvVar]:
    """Check a service's environment variables.

    Raises:
        UserError: An entry has no name, an unknown key or an unknown stage.
    """
    return [_env(owner, env) for env in envs or ()]


def _env(owner: str, env: Mapping[str, Any]) -> EnvVar:
    if not isinstance(env, Mapping) or not isinstance(env.get("name"), str) or not env["name"]:
        raise UserError(
            f'{owner}: each entry of envs is a mapping such as {{"name": "KEY", "value": "..."}}, '
            f"not {env!r}."
        )
    _check_keys(owner, "envs", env, ("name", "value", "stage"))
    stage = env.get("stage", "all")
    if stage not in _STAGES:
        raise UserError(f"{owner}: envs[{env['name']}].stage is {stage!r}; use one of {_STAGES}.")
    value = env.get("value")
    return EnvVar(env["name"], None if value is None else str(value), stage)


def _check_section(owner: str, section: str, value: Any) -> None:
    keys = _KEYS[section]
    if not keys:
        return
    if not isinstance(value, Mapping):
        raise UserError(
            f"{owner}: {section} is a mapping with the keys {', '.join(keys)}, not {value!r}."
        )
    if section in _STRICT:
        _check_keys(owner, section, value, keys)
    else:
        _warn_of_keys(owner, section, value, keys, keys)
    for key, inner in value.items():
        if f"{section}.{key}" in _KEYS:
            _check_section(owner, f"{section}.{key}", inner)


def _at(config: Any, path: str) -> Any:
    """The value at a path of a configuration; None where there is none."""
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _check_keys(owner: str, section: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.0)[0]
            raise UserError(f"{_unknown(owner, section, key)}; did you mean {near!r}?")


def _warn_of_keys(
    owner: str, section: str, given: Mapping[str, Any], known: Iterable[str], near: Iterable[str]
) -> None:
    for key in given:
        if key not in known:
            alike = difflib.get_close_matches(str(key), list(near), n=1)
            advice = f"; did you mean {alike[0]!r}?" if alike else "."
            _warn(f"{_unknown(owner, section, key)} is ignored{advice}")


def _unknown(owner: str, section: str, key: str) -> str:
    path = f"{section}.{key}" if section else key
    return f"{owner}: unknown configuration key {path!r} in @bentofn.service"


def _warn(message: str) -> None:
    """Warn at the line of the user's declaration; a line that is run again warns once."""
    frame = declaring_frame()
    warned = frame.f_globals.setdefault("__warningregistry__", {})
    place = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(message, ConfigWarning, *place, registry=warned)


def _check_positive(owner: str, path: str, value: Any, types: tuple[type[Any], ...]) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, types) or value <= 0:
        kind = "number" if float in types else "whole number"
        raise UserError(f"{owner}: {path} must be a positive {kind}, not {value!r}.")
