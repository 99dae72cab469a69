"""Three services in one bento: an entry that asks two others, in sequence and in parallel."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator

import numpy as np

import bentofn

GOOD = {"good", "great", "love", "fast", "fresh", "best"}
BAD = {"bad", "slow", "cold", "worst", "awful", "late"}


@bentofn.service(workers=2, resources={"cpu": "500m"})
class Words:
    """Texts to their words, in two processes."""

    @bentofn.api
    def split(self, text: str) -> list[str]:
        """The words of a text, in lower case."""
        if not text.strip():
            raise bentofn.exceptions.InvalidArgument("The text is empty.")
        return re.findall(r"[a-z']+", text.lower())


@bentofn.service(resources={"cpu": "1", "memory": "256Mi"})
class Mood:
    """Words to a number between -1, bad, and 1, good."""

    @bentofn.api(batchable=True, max_batch_size=32)
    def score(self, texts: list[list[str]]) -> np.ndarray:
        """One number for each list of words."""
        found = [[(word in GOOD) - (word in BAD) for word in words] for words in texts]
        return np.array([sum(each) / max(1, sum(map(abs, each))) for each in found])

    @bentofn.api
    async def explain(self, words: list[str]) -> AsyncIterator[str]:
        """The words that count, one by one."""
        for word in words:
            if word in GOOD | BAD:
                yield f"{word} is {'good' if word in GOOD else 'bad'}\n"


@bentofn.service(name="reviews")
class Reviews:
    """What people say about a meal."""

    words = bentofn.depends(Words)
    mood = bentofn.depends(Mood)

    @bentofn.api(examples=[{"texts": ["The best soup, and fast.", "Cold and late."]}])
    async def review(self, texts: list[str]) -> dict[str, list[float]]:
        """The mood of each text: all texts are split at the same time, then scored."""
        words = await asyncio.gather(*(self.words.to_async.split(text) for text in texts))
        moods = await asyncio.gather(*(self.mood.to_async.score([each]) for each in words))
        return {"moods": [float(each[0]) for each in moods]}

    @bentofn.api(examples=[{"text": "The best soup, the best bread."}])
    def common(self, text: str) -> list[tuple[str, int]]:
        """The words of a text that come most often, by a plain call."""
        return Counter(self.words.split(text)).most_common(3)

    @bentofn.api
    async def explain(self, text: str) -> AsyncIterator[str]:
        """Why: a stream that comes through from another process."""
        async for line in self.mood.explain(await self.words.to_async.split(text)):
            yield line
