"""Tasks that a client has submitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from bentofn.runtime.client.endpoint import Endpoint

if TYPE_CHECKING:
    from bentofn.runtime.client.asynchronous import AsyncHTTPClient
    from bentofn.runtime.client.sync import SyncHTTPClient


Result = TypeVar("Result")


class ResultStatus(Enum):
    """How far a task is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A task that was submitted.

    Args:
        id: The name that the service gave it.
        endpoint: What runs it.
        client: The client that submitted it.
    """

    id: str
    endpoint: Endpoint = field(repr=False)
    client: SyncHTTPClient = field(repr=False)

    def get_status(self) -> ResultStatus:
        """How far it is."""
        return self.client._task_status(self.endpoint, self.id)

    def get(self) -> Result:
        """Its result.

        Raises:
            BentoMLException: It has none yet, or it failed: then as the call would have.
        """
        result: Result = self.client._task_result(self.endpoint, self.id)
        return result

    def cancel(self) -> None:
        """Keep it from running, or stop it."""
        self.client._cancel_task(self.endpoint, self.id)

    def retry(self) -> Task[Result]:
        """Submit the same request again."""
        return self.client._retry_task(self.endpoint, self.id)


@dataclass(frozen=True)
class AsyncTask(Generic[Result]):
    """A task that was submitted by an asynchronous client.

    Args:
        id: The name that the service gave it.
        endpoint: What runs it.
        client: The client that submitted it.
    """

    id: str
    endpoint: Endpoint = field(repr=False)
    client: AsyncHTTPClient = field(repr=False)

    async def get_status(self) -> ResultStatus:
        """How far it is."""
        return await self.client._task_status(self.endpoint, self.id)

    async def get(self) -> Result:
        """Its result.

        Raises:
            BentoMLException: It has none yet, or it failed: then as the call would have.
        """
        result: Result = await self.client._task_result(self.endpoint, self.id)
        return result

    async def cancel(self) -> None:
        """Keep it from running, or stop it."""
        await self.client._cancel_task(self.endpoint, self.id)

    async def retry(self) -> AsyncTask[Result]:
        """Submit the same request again."""
        return await self.client._retry_task(self.endpoint, self.id)
