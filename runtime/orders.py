"""What the platform says to an instance that serves."""

from __future__ import annotations

import os

from bentofn.runtime.protocol import SLEEP_FDS, Channel, Message, Sleep


class Orders:
    """Hears them; what they ask for is done once the instance has finished what it serves.

    Args:
        control: The platform.
    """

    def __init__(self, control: Channel) -> None:
        self.control = control
        self.wire: Channel | None = None
        """Where an instance that is to sleep will be told what to be next."""

    def heed(self, _: object) -> bool:
        """Hear one, and say whether to stop serving; exits if the platform has gone."""
        messages = self.control.receive()
        if messages is None:
            os._exit(1)
        for message in messages:
            self.hear(message)
        return self.stops

    def hear(self, message: Message) -> None:
        """Take one order; what is none for an instance is let pass."""
        if isinstance(message, Sleep):
            self.wire = Channel(self.control.take_fds(SLEEP_FDS)["wire"])

    @property
    def stops(self) -> bool:
        """Whether to stop serving."""
        return self.wire is not None
