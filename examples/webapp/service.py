"""A poet that needs no model: it writes about anything, a word at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from poems import words_of
from pydantic import Field

import bentofn

Subject = Annotated[str, Field(min_length=1, max_length=60, description="What it is about.")]
Pace = Annotated[float, Field(gt=0, le=1000, description="Words a second.")]


@bentofn.service(name="poet", traffic={"timeout": 60})
class Poet:
    """Writes poems."""

    @bentofn.api(examples=[{"about": "rain", "pace": 1000}])
    async def write(self, about: Subject, edition: int = 0, pace: Pace = 14) -> AsyncIterator[str]:
        """Write a poem, word by word. The same subject and edition give the same poem."""
        for word in words_of(about, edition):
            yield word
            await asyncio.sleep(1 / pace)
