"""Logs: what containers wrote, counted, fetched and followed."""

from __future__ import annotations

import asyncio
from typing import Any

from modal_proto import api_pb2

from modal_cloud.state import State


class Logs:
    """The calls about logs.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def AppCountLogs(self, request: Any) -> Any:
        answer = api_pb2.AppCountLogsResponse(app_id=request.app_id)
        start, end = request.since.seconds, request.until.seconds + 1
        width = request.bucket_secs or 1
        for at in range(start, end, width):
            count = sum(at <= moment < at + width for _, moment, _ in self._lines(request))
            bucket = answer.buckets.add(stdout_logs=count)
            bucket.bucket_start_at.seconds = at
        return answer

    async def AppFetchLogs(self, request: Any) -> Any:
        since = request.since.seconds + request.since.nanos / 1e9
        until = request.until.seconds + request.until.nanos / 1e9
        found = [line for line in self._lines(request) if since <= line[1] <= until]
        last = found[-request.limit :] if request.limit else found
        return api_pb2.AppFetchLogsResponse(batches=[_batch(each) for each in last])

    async def AppGetLogs(self, request: Any) -> Any:
        sent = int(request.last_entry_id or 0)
        for _ in range(200):
            lines = self._lines(request)
            for line in lines[sent:]:
                sent += 1
                batch = _batch(line)
                batch.entry_id = str(sent)
                yield batch
            app = self._state.apps[request.app_id]
            if app.state == api_pb2.APP_STATE_STOPPED:
                yield api_pb2.TaskLogsBatch(entry_id=str(sent), app_done=True)
                return
            await asyncio.sleep(0.05)

    def _lines(self, request: Any) -> list[tuple[str, float, str]]:
        sought = getattr(request, "search_text", "")  # of counts and fetches, not of streams
        return [
            line[1:]
            for line in self._state.lines
            if line[0] == request.app_id and sought in line[3]
        ]


def _batch(line: tuple[str, float, str]) -> Any:
    task_id, moment, text = line
    item = api_pb2.TaskLogs(
        data=text, timestamp=moment, file_descriptor=api_pb2.FILE_DESCRIPTOR_STDOUT
    )
    if task_id.startswith("fc-"):
        item.function_call_id = task_id
    return api_pb2.TaskLogsBatch(task_id=task_id, items=[item])
