"""Calls the shop with its generated client, and prints what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from shop_client import AsyncCornerShopClient, CornerShopClient, Item, QuotedInput, Receipt

from bentofn.exceptions import InvalidArgument
from bentofn.runtime.client import ResultStatus

APPLE: Item = {"name": "apple", "price": 2.0, "tags": ["b", "a"], "also": {"name": "leaf"}}


def main(url: str) -> dict[str, Any]:
    with CornerShopClient(url, timeout=20) as shop:
        receipt: Receipt = shop.buy(items=[APPLE, {"name": "pear"}], discount=0.5)
        note: str | None = receipt["note"]
        quoted: QuotedInput = {"class": "a"}
        file = Path("one.txt")
        file.write_text("one")
        task = shop.bake.submit(loaves=2)
        while task.get_status() is ResultStatus.IN_PROGRESS:
            time.sleep(0.01)
        baked: list[str] = task.get()
        refused = ""
        try:
            shop.refuse()
        except InvalidArgument as error:
            refused = str(error)
        scaled = shop.scale(values=np.array([[1.0, 2.0]]), by=2)
        return {
            "total": receipt["total"],
            "note": note,
            "shout": shop.shout("é"),
            "tags": shop.sorted_tags([APPLE]),
            "quoted": shop.quoted(**quoted),
            "scaled": [type(scaled).__name__, scaled.tolist()],
            "uploaded": shop.upload(files=[file, b"two"]),
            "downloaded": shop.download().read_text(),
            "count": "".join(shop.count()),
            "steps": [each["step"] for each in shop.work(steps=3)],
            "data": list(b"".join(shop.data())),
            "baked": baked,
            "direct": shop.bake(loaves=1),
            "refused": refused,
        }


async def later(url: str) -> list[Any]:
    async with AsyncCornerShopClient(url) as shop:
        pieces = [piece async for piece in shop.count(to=2)]
        task = await shop.bake.submit(loaves=1)
        while await task.get_status() is ResultStatus.IN_PROGRESS:
            pass
        return ["".join(pieces), await task.get(), await shop.bake(loaves=2), await shop.shout("a")]


print(json.dumps({**main(sys.argv[1]), "later": asyncio.run(later(sys.argv[1]))}))
