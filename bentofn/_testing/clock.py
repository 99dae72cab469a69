"""The platform's time in the hands of a test."""

from __future__ import annotations

from datetime import datetime, timezone

from bentofn.adapters.local.client import Client


class PlatformClock:
    """The time by which functions become idle, schedules fire and retries are made.

    It stands still until it is told to go on. What is physical, such as how long a start or an
    answer takes, goes by the machine's.

    Args:
        client: The platform's.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def now(self) -> datetime:
        """The platform's time, in UTC."""
        return _moment(self._client.tick(0.0))

    def advance(
        self,
        seconds: float = 0.0,
        *,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> datetime:
        """Have time pass now, and wait for what schedules and retries it brings about.

        Returns:
            The platform's time after that, in UTC.
        """
        whole = seconds + 60 * minutes + 3600 * hours + 86_400 * days
        if whole < 0:
            raise ValueError("Time goes on only.")
        return _moment(self._client.tick(whole))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
