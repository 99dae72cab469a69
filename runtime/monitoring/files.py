"""The default monitor: files of JSON lines, a new one each day."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from bentofn.runtime.context import Context, current_context
from bentofn.runtime.current import server_context
from bentofn.runtime.errors import BentoMLConfigException
from bentofn.runtime.monitoring.base import Columns, MonitorBase, Rows
from bentofn.runtime.state import state_folder


class DefaultMonitor(MonitorBase):
    """Writes ``<log_path>/<name>/data/data.<worker>.log``, and the schema beside it.

    No file stays open, so that a snapshot can be taken after a row was written.

    Args:
        name: The monitor's name.
        log_path: Where the files go; relative to :func:`bentofn.runtime.state.state_folder`.
        log_config_file: Not supported.
        **options: Not used.

    Raises:
        BentoMLConfigException: ``log_config_file`` is given.
    """

    PRESERVED_COLUMNS = ("timestamp", "request_id", "trace_id")

    def __init__(
        self,
        name: str,
        log_path: str = "monitoring",
        log_config_file: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        if log_config_file is not None:
            raise BentoMLConfigException(
                "bentofn does not read monitoring.options.log_config_file: say log_path, or name a "
                "class of your own as monitoring.type."
            )
        self.log_path = log_path
        self._writers: dict[str, logging.Handler] = {}

    def export_schema(self, columns_schema: Columns) -> None:
        """Write the schema as one line."""
        bento = {
            "bento_name": server_context.bento_name or server_context.service_name or "",
            "bento_version": server_context.bento_version,
        }
        self._write("schema", {"meta_data": bento, "columns": list(columns_schema.values())})

    def export_data(self, datas: Rows) -> None:
        """Write each row as a line, with its time and the request that it belongs to."""
        context = current_context.get(None)
        own = {
            "timestamp": datetime.now().isoformat(),
            "request_id": context.request_id if context else "",
            "trace_id": _trace_id(context),
        }
        for row in zip(*datas.values(), strict=False):
            self._write("data", {**dict(zip(datas, row, strict=True)), **own})

    def _write(self, kind: str, line: dict[str, Any]) -> None:
        text = json.dumps(line, default=_plain, ensure_ascii=False)
        writer = self._writers.get(kind) or self._open(kind)
        writer.handle(logging.makeLogRecord({"msg": text}))
        writer.close()  # it opens again by itself

    def _open(self, kind: str) -> logging.Handler:
        from logging.handlers import TimedRotatingFileHandler

        folder = state_folder(server_context.service_name or "") / self.log_path / self.name / kind
        folder.mkdir(parents=True, exist_ok=True)
        path: Path = folder / f"{kind}.{server_context.worker_index or 0}.log"
        writer = TimedRotatingFileHandler(path, when="D", encoding="utf-8", delay=True)
        self._writers[kind] = writer
        return writer


_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def _trace_id(context: Context | None) -> str:
    """The trace that a request belongs to (https://www.w3.org/TR/trace-context/); 0 for none."""
    parent = context.request.headers.get("traceparent", "") if context else ""
    found = _TRACE_PARENT.fullmatch(parent)
    return str(int(found[1], 16)) if found else "0"


def _plain(value: Any) -> Any:
    """What JSON has no type for: arrays and their numbers as JSON's own, the rest as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
