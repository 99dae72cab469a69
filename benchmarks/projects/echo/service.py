"""The least that a service can do."""

from __future__ import annotations

import bentofn


@bentofn.service(name="bench-echo", resources={"cpu": "1"})
class Echo:
    """Text in, the same text out."""

    @bentofn.api(examples=[{"text": "hello"}])
    def echo(self, text: str) -> str:
        """The text that was sent."""
        return text
