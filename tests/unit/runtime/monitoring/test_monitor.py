from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bentofn
from bentofn import monitoring
from bentofn.exceptions import BentoMLConfigException
from bentofn.runtime.monitoring import base


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path))
    monkeypatch.setattr("bentofn.runtime.monitoring._monitors", {})
    monkeypatch.setattr("bentofn.runtime.current._instances", [])
    monkeypatch.setattr(bentofn.server_context, "worker_index", None)
    return tmp_path


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_and_their_schema_are_lines_of_files(folder: Path) -> None:
    for value in (np.float32(1.5), 2):
        with bentofn.monitor("iris") as mon:
            mon.log(value, "x", "feature", "numerical")
            mon.log("setosa", "kind", "prediction", "categorical")
    data = lines(folder / "monitoring" / "iris" / "data" / "data.0.log")
    assert [(row["x"], row["kind"]) for row in data] == [(1.5, "setosa"), (2, "setosa")]
    assert data[0].keys() == {"x", "kind", "timestamp", "request_id", "trace_id"}
    schema = lines(folder / "monitoring" / "iris" / "schema" / "schema.0.log")
    assert [each["columns"] for each in schema] == [
        [
            {"name": "x", "role": "feature", "type": "numerical"},
            {"name": "kind", "role": "prediction", "type": "categorical"},
        ]
    ]


def test_a_batch_is_as_many_rows(folder: Path) -> None:
    with bentofn.monitor("batch") as mon:
        mon.log_batch([1, 2], "x", "feature", "numerical")
        mon.log_batch([3, 4], "timestamp", "target", "numerical")
    data = lines(folder / "monitoring" / "batch" / "data" / "data.0.log")
    assert [(row["x"], row["timestamp_"]) for row in data] == [(1, 3), (2, 4)]


def test_a_block_that_raises_records_nothing(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), bentofn.monitor("broken") as mon:
        mon.log(1 / 0, "x", "feature", "numerical")
    with bentofn.monitor("broken") as mon, bentofn.monitor("inner") as inner:
        mon.log(1, "x", "feature", "numerical")
        inner.log(2, "y", "feature", "numerical")
    assert len(lines(folder / "monitoring" / "broken" / "data" / "data.0.log")) == 1
    assert len(lines(folder / "monitoring" / "inner" / "data" / "data.0.log")) == 1


class Kept(monitoring.MonitorBase[float]):
    rows: list[dict[str, list[Any]]]

    def __init__(self, name: str, unit: str = "", **options: Any) -> None:
        super().__init__(name, **options)
        self.unit, self.rows, self.schemas = unit, [], 0

    def export_schema(self, columns_schema: base.Columns) -> None:
        self.schemas += 1

    def export_data(self, datas: base.Rows) -> None:
        self.rows.append({name: list(values) for name, values in datas.items()})


@pytest.mark.parametrize("named", [Kept, f"{__name__}.Kept"])
def test_a_class_of_ones_own(named: Any) -> None:
    for value in (1.0, 2.0):
        with bentofn.monitor("own", monitor_class=named, monitor_options={"unit": "m"}) as mon:
            mon.log(value, "x", "feature", "numerical")
    assert isinstance(mon, Kept)
    assert (mon.unit, mon.rows, mon.schemas) == ("m", [{"x": [1.0]}, {"x": [2.0]}], 1)


@bentofn.service(monitoring={"options": {"log_path": "elsewhere"}})
class Monitored:
    @bentofn.api(examples=[{"x": 1.0}])
    def predict(self, x: float) -> float:
        with bentofn.monitor("served") as mon:
            mon.log(x, "x", "feature", "numerical")
        return x


async def test_a_service_configures_its_monitors(folder: Path) -> None:
    from bentofn.runtime.http.warmup import answer_examples

    app = Monitored.to_asgi()
    assert isinstance(app.instance, Monitored.inner)
    import asyncio

    await asyncio.to_thread(answer_examples, app)
    assert not (folder / "elsewhere").exists()
    app.instance.predict(3.0)
    [row] = lines(folder / "elsewhere" / "served" / "data" / "data.0.log")
    assert row["x"] == 3.0


@bentofn.service(monitoring={"enabled": False})
class Unmonitored:
    @bentofn.api
    def predict(self, x: float) -> float:
        with bentofn.monitor("off") as mon:
            mon.log(x, "x", "feature", "numerical")
        return x


def test_monitoring_can_be_switched_off(folder: Path) -> None:
    Unmonitored.to_asgi().instance.predict(1.0)  # type: ignore[attr-defined]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("named", ["otlp", "no.such.Class", "json.JSONDecoder", "plain"])
def test_what_is_no_monitor(named: str) -> None:
    with pytest.raises(BentoMLConfigException), bentofn.monitor("none", monitor_class=named):
        pass
