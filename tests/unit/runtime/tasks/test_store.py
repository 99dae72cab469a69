"""Tasks on disk: what is kept, for how long, and what a killed process leaves."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.runtime.tasks.store import RETENTION, Replay, TaskRequest, TaskStore

REQUEST = TaskRequest("a1", "/run", "x=1", (("content-type", "text/plain"),), b"\x00\xff")
REPLY = Replay(200, (("content-type", "image/png"), ("set-cookie", "a=b")), b"\x89PNG")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tasks.db"


def test_a_task_from_its_submission_to_its_end(path: Path) -> None:
    store = TaskStore(path)
    store.add(REQUEST, 100.9)
    row = store.row("a1")
    assert row is not None
    assert row.to_json() == {
        "task_id": "a1",
        "status": "in_progress",
        "created_at": "1970-01-01T00:01:40",
        "executed_at": None,
    }
    assert store.begin("a1", 101.0) == REQUEST
    store.finish("a1", REPLY, 102.0)
    assert store.reply("a1") == REPLY
    ended = store.row("a1")
    assert ended is not None
    assert ended.to_json()["status"] == "completed"
    assert ended.to_json()["completed_at"] == "1970-01-01T00:01:42"
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["tasks.db"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_results_are_forgotten_after_a_day(path: Path) -> None:
    store = TaskStore(path)
    for task, ended in (("old", 0.0), ("new", RETENTION), ("last", RETENTION + 1)):
        store.add(TaskRequest(task, "/", "", (), b""), 0.0)
        store.finish(task, REPLY, ended)
    assert store.row("old") is None
    assert store.reply("new") == REPLY


def test_a_result_is_kept_though_the_old_ones_cannot_be_forgotten(path: Path) -> None:
    store = TaskStore(path)
    store.add(REQUEST, 0.0)
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TRIGGER fails BEFORE DELETE ON tasks BEGIN DELETE FROM gone; END")
    for task, ended in (("old", 0.0), ("a1", RETENTION + 1)):
        store.finish(task, REPLY, ended)
    assert store.reply("a1") == REPLY


def test_an_error_is_a_failure(path: Path) -> None:
    store = TaskStore(path)
    store.add(REQUEST, 0.0)
    store.finish("a1", Replay(400, (), b"{}"), 1.0)
    row = store.row("a1")
    assert row is not None
    assert row.state == "failed"


def test_what_was_cancelled_stays_cancelled(path: Path) -> None:
    store = TaskStore(path)
    store.add(REQUEST, 0.0)
    cancelled = store.cancel("a1", 1.0)
    assert cancelled is not None
    assert cancelled.state == "canceled"
    assert store.begin("a1", 2.0) is None
    store.finish("a1", REPLY, 2.0)
    assert store.reply("a1") is None
    assert store.cancel("unknown", 2.0) is None


def test_processes_share_a_database(path: Path) -> None:
    one, other = TaskStore(path), TaskStore(path)
    one.add(REQUEST, 0.0)
    assert other.row("a1") is not None
    assert other.recover() == []  # its owner lives
    assert one.ended_elsewhere(["a1"]) == []
    other.cancel("a1", 1.0)
    assert one.ended_elsewhere(["a1"]) == ["a1"]
    assert one.ended_elsewhere(["a1"]) == []


def test_a_killed_process_loses_nothing(path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from bentofn.runtime.tasks.store import TaskRequest, TaskStore
store = TaskStore(Path({str(path)!r}))
for name in "abc":
    store.add(TaskRequest(name, "/", "", (), b""), 0.0)
store.begin("a", 1.0)
store.wait_again("a", counts=True)
store.begin("a", 1.0)
store.begin("b", 1.0)
store.wait_again("b", counts=False)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = TaskStore(path)
    assert store.recover() == [("a", 2), ("b", 0), ("c", 0)]
    assert store.recover() == []
    assert [file.name for file in path.parent.glob("*.lock")] == [f"tasks.db.{store.owner.id}.lock"]
