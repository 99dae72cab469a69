"""The page at a service's root, as a browser shows it."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
from typing import Annotated

import numpy as np
import pytest
from raw_http import serving

import bentofn
from bentofn.validators import Shape

CHROMIUM = shutil.which("chromium")
SHOWN = re.compile(r"<b>(\w+)</b><code>([^<]+)</code>")


@bentofn.service(name="shown", description="What a page shows.")
class Shown:
    @bentofn.api(examples=[{"texts": ["a", "bb"]}])
    def lengths(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    @bentofn.api
    def scale(self, image: Annotated[np.ndarray, Shape((2, 3))]) -> np.ndarray:
        return image

    @bentofn.api(route="/models/{name}/size")
    def size(self, ctx: bentofn.Context) -> str:
        return str(ctx.request.path_params["name"])

    @bentofn.task
    def write(self, topic: str) -> str:
        return topic


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_the_page_shows_every_endpoint() -> None:
    async with serving(Shown.to_asgi()) as (connect, _):
        port = (await connect()).writer.get_extra_info("peername")[1]
        browser = await asyncio.create_subprocess_exec(
            *(str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu"),
            *("--virtual-time-budget=10000", "--dump-dom", f"http://127.0.0.1:{port}/"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        page, _ = await asyncio.wait_for(browser.communicate(), 60)
    text = html.unescape(page.decode())
    assert SHOWN.findall(text) == [
        ("POST", "/lengths"),
        ("POST", "/scale"),
        ("POST", "/models/{name}/size"),
        ("POST", "/write"),
        ("POST", "/write/submit"),
        ("GET", "/write/status"),
        ("GET", "/write/get"),
        ("POST", "/write/retry"),
        ("PUT", "/write/cancel"),
    ]
    assert "What a page shows." in text
    assert text.count('name="task_id"') == 4
