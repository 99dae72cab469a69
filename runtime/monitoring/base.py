"""What a monitor is: rows of named columns, handed to a class that writes them somewhere."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

logger = logging.getLogger("bentofn.monitoring")

ROLES = frozenset({"feature", "prediction", "target"})
TYPES = frozenset({"numerical", "categorical", "numerical_sequence"})

Columns = dict[str, dict[str, str]]
Rows = dict[str, "deque[Any]"]


@dataclass
class _Record:
    """What was logged since a record began."""

    columns: Columns = field(default_factory=dict)
    rows: Rows = field(default_factory=dict)


_records: ContextVar[Mapping[int, _Record]] = ContextVar(
    "bentofn_monitor_records", default=MappingProxyType({})
)
"""By monitor: requests that run at the same time record apart."""


class MonitorBase:
    """Base of the monitors. A class of a user's own writes ``export_schema`` and ``export_data``.

    Args:
        name: The monitor's name.
        **options: Options that the class does not know.
    """

    PRESERVED_COLUMNS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.columns_schema: Columns | None = None

    def __class_getitem__(cls, item: Any) -> type[MonitorBase]:
        """``MonitorBase[T]``, as classes written for BentoML inherit from."""
        return cls

    def start_record(self) -> None:
        """Begin a record."""
        _records.set({**_records.get(), id(self): _Record()})

    def drop_record(self) -> None:
        """Forget what the record holds."""
        _records.set({key: each for key, each in _records.get().items() if key != id(self)})

    def stop_record(self) -> None:
        """End the record and export it; the first one tells the schema."""
        record = _records.get()[id(self)]
        self.drop_record()
        if not record.rows:
            logger.warning("The monitor %s was given nothing; it writes nothing.", self.name)
            return
        if len({len(rows) for rows in record.rows.values()}) > 1:
            logger.warning(
                "The monitor %s was given columns of different lengths; rows that are not complete "
                "are left out.",
                self.name,
            )
        if self.columns_schema is None:
            self.columns_schema = record.columns
            self.export_schema(record.columns)
        self.export_data(record.rows)

    def export_schema(self, columns_schema: Columns) -> None:
        """Write the schema: column to its ``name``, ``role`` and ``type``."""
        raise NotImplementedError

    def export_data(self, datas: Rows) -> None:
        """Write rows: column to its values."""
        raise NotImplementedError

    def log(self, data: Any, name: str, role: str, data_type: str) -> None:
        """Add a value to a column of the record.

        Args:
            data: The value.
            name: The column.
            role: ``feature``, ``prediction`` or ``target``.
            data_type: ``numerical``, ``categorical`` or ``numerical_sequence``.
        """
        if name in self.PRESERVED_COLUMNS:
            logger.warning("The column %s is the monitor's own; it is called %s_.", name, name)
            name = f"{name}_"
        if role not in ROLES or data_type not in TYPES:
            logger.warning("The role %s or type %s of %s is not BentoML's.", role, data_type, name)
        record = _records.get()[id(self)]
        record.columns.setdefault(name, {"name": name, "role": role, "type": data_type})
        record.rows.setdefault(name, deque()).append(data)

    def log_batch(self, data_batch: Iterable[Any], name: str, role: str, data_type: str) -> None:
        """Add several values to a column."""
        for data in data_batch:
            self.log(data, name, role, data_type)

    def log_table(self, data: Iterable[Iterable[Any]], schema: Mapping[str, str]) -> None:
        """Refused, as BentoML has never written one."""
        logger.warning("A monitor logs no tables; use log() or log_batch().")


class NoOpMonitor(MonitorBase):
    """A monitor that writes nothing."""

    def start_record(self) -> None:
        """Nothing."""

    def drop_record(self) -> None:
        """Nothing."""

    def stop_record(self) -> None:
        """Nothing."""

    def log(self, data: Any, name: str, role: str, data_type: str) -> None:
        """Nothing."""

    def log_batch(self, data_batch: Iterable[Any], name: str, role: str, data_type: str) -> None:
        """Nothing."""
