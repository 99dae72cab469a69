"""``monitor``: records what a service takes and answers, row by row.

Source: bentoml/_internal/monitoring of BentoML 1.4
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bentofn.runtime.context import answers_example
from bentofn.runtime.current import service_config
from bentofn.runtime.errors import BentoMLConfigException
from bentofn.runtime.monitoring.base import MonitorBase, NoOpMonitor
from bentofn.runtime.monitoring.files import DefaultMonitor

__all__ = ["DefaultMonitor", "MonitorBase", "NoOpMonitor", "monitor"]

_monitors: dict[str, MonitorBase] = {}
"""By name: a monitor lives as long as the process, and its schema is written once."""


@contextmanager
def monitor(
    name: str,
    monitor_class: type[MonitorBase] | str | None = None,
    monitor_options: Mapping[str, Any] | None = None,
) -> Iterator[MonitorBase]:
    """Record one row, or several: ``with bentoml.monitor("name") as mon: mon.log(...)``.

    A block that raises records nothing. Neither do the examples that warm a service up.

    Args:
        name: The monitor's name.
        monitor_class: A class, its dotted path, or ``default``; by default ``monitoring.type`` of
            the service's configuration.
        monitor_options: What the class is made with; by default ``monitoring.options``.

    Raises:
        BentoMLConfigException: There is no such class.
    """
    if answers_example():
        yield NoOpMonitor(name)
        return
    if name not in _monitors:
        _monitors[name] = _make(name, monitor_class, monitor_options)
    made = _monitors[name]
    made.start_record()
    try:
        yield made
    except BaseException:
        made.drop_record()
        raise
    made.stop_record()


def _make(
    name: str,
    monitor_class: type[MonitorBase] | str | None,
    monitor_options: Mapping[str, Any] | None,
) -> MonitorBase:
    config = service_config().get("monitoring", {})
    if not config.get("enabled", True):
        return NoOpMonitor(name)
    wanted = config.get("type") if monitor_class is None else monitor_class
    options = config.get("options") if monitor_options is None else monitor_options
    return _class(wanted or "default")(name, **(options or {}))


def _class(wanted: type[MonitorBase] | str) -> type[MonitorBase]:
    if isinstance(wanted, type):
        return wanted
    if wanted == "default":
        return DefaultMonitor
    if wanted == "otlp":
        raise BentoMLConfigException(
            "bentofn carries no otlp monitor: use the default one, which writes files, or name a "
            "class of your own as monitoring.type."
        )
    module, _, attribute = wanted.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BentoMLConfigException(f"There is no monitor {wanted!r}: {error}.") from error
    if not isinstance(found, type) or not issubclass(found, MonitorBase):
        raise BentoMLConfigException(f"{wanted} is no class derived from MonitorBase.")
    return found
