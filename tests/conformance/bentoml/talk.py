"""Calls the case ``clients`` with both clients of a package, and prints what they got.

    python talk.py PACKAGE FOLDER URL...

PACKAGE is ``bentoml`` or ``bentofn``. Prints one JSON document: ``SyncHTTPClient`` and
``AsyncHTTPClient``, to a list with an entry for each URL: the name of each call to what came back.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image


def calls(folder: Path) -> dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Name to endpoint and arguments."""
    (folder / "a.txt").write_text("aé")
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 0))
    image.save(folder / "a.png")
    text = folder / "a.txt"
    found: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
        "positional": ("add", (1,), {}),
        "named": ("add", (), {"a": 1, "b": 5}),
        "invalid": ("add", ("x",), {}),
        "missing": ("add", (), {"b": 5}),
        "unknown": ("add", (), {"a": 1, "c": 5}),
        "model": ("scale", ({"x": 1}, 2), {}),
        "root model": ("corner", ({"x": 3},), {}),
        "root text": ("shout", ("groß",), {}),
        "root bytes": ("reverse", (b"\0ab",), {}),
        "array": ("transpose", (np.array([[1, 2], [3, 4]], dtype="int32"),), {}),
        "lists for an array": ("transpose", ([[1, 2], [3, 4.5]],), {}),
        "root array": ("grow", (np.array([1.5]),), {}),
        "tensor": ("double", (torch.tensor([1.0, 2.0]),), {}),
        "frame": ("frame", (pd.DataFrame({"v": [1.5, 2.5]}),), {}),
        "nested": ("nested", ([np.zeros(2)],), {}),
        "files": ("texts", ([text, str(text)],), {}),
        "file and text": ("texts", ([text],), {"note": "{}"}),
        "file back": ("copy", (text,), {}),
        "open file": ("copy", (text.open("rb"),), {}),
        "root file": ("length", (text,), {}),
        "image": ("mirror", (Image.open(folder / "a.png"),), {}),
        "image of one's own": ("mirror", (image,), {}),
        "path of an image": ("mirror", (folder / "a.png",), {}),
        "stream": ("spell", ("größe",), {}),
        "nothing": ("nothing", (), {}),
        "name of the client's": ("api_request", (), {}),
    }
    return found | {f"fails {n}": ("fail", (n,), {}) for n in (400, 401, 404, 418, 422, 500, 503)}


def plain(value: Any) -> Any:
    """A result as JSON can hold it, with its type where that is not JSON's."""
    if isinstance(value, Path):
        return ["path", value.read_text()]
    if isinstance(value, np.ndarray):
        return ["array", value.dtype.name, value.tolist()]
    if isinstance(value, torch.Tensor):
        return ["tensor", str(value.dtype), value.tolist()]
    if isinstance(value, pd.DataFrame):
        return ["frame", value.to_dict("list")]
    if isinstance(value, Image.Image):
        return ["image", value.size, value.getpixel((1, 0))]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def failure(error: Exception) -> list[Any]:
    """An error: its class, its status, and what the service answered."""
    status = getattr(error, "error_code", None)
    return ["error", type(error).__name__, status and int(status), status and str(error)]


def talk(kind: Any, url: str, folder: Path) -> dict[str, Any]:
    """Call everything with the synchronous client."""
    got: dict[str, Any] = {}
    with kind(url) as client:
        for name, (endpoint, args, kwargs) in calls(folder).items():
            try:
                value = getattr(client, endpoint)(*args, **kwargs)
                got[name] = plain("".join(value) if inspect.isgenerator(value) else value)
            except Exception as error:
                got[name] = failure(error)
    return got


async def talk_async(kind: Any, url: str, folder: Path) -> dict[str, Any]:
    """Call everything with the asynchronous client."""
    got: dict[str, Any] = {}
    async with kind(url) as client:
        for name, (endpoint, args, kwargs) in calls(folder).items():
            try:
                value = getattr(client, endpoint)(*args, **kwargs)
                if inspect.isasyncgen(value):
                    got[name] = "".join([piece async for piece in value])
                else:
                    got[name] = plain(await value)
            except Exception as error:
                got[name] = failure(error)
    return got


if __name__ == "__main__":
    module, place = importlib.import_module(sys.argv[1]), Path(sys.argv[2])
    both = {
        "SyncHTTPClient": lambda url: talk(module.SyncHTTPClient, url, place),
        "AsyncHTTPClient": lambda url: asyncio.run(talk_async(module.AsyncHTTPClient, url, place)),
    }
    print(json.dumps({kind: [ask(url) for url in sys.argv[3:]] for kind, ask in both.items()}))
