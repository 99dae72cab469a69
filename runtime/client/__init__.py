"""Clients of a service: they read ``/schema.json`` and have a method for each endpoint.

Nothing here imports httpx or pydantic before a client is made, so that a service which only names a
client starts no later.
"""

from bentofn.runtime.client.asynchronous import AsyncHTTPClient
from bentofn.runtime.client.sync import SyncHTTPClient
from bentofn.runtime.client.tasks import AsyncTask, ResultStatus, Task

__all__ = ["AsyncHTTPClient", "AsyncTask", "ResultStatus", "SyncHTTPClient", "Task"]
