"""Files and images are read beside the event loop."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator

import bentofn

from .conftest import OpenApp

READ_ON: list[int] = []
FORM = b'--a\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc\r\n--a--\r\n'


def noted(path: Path) -> Path:
    READ_ON.append(threading.get_ident())
    return path


@bentofn.service(name="uploads")
class Uploads:
    @bentofn.api
    def size(self, file: Annotated[Path, AfterValidator(noted)]) -> int:
        return file.stat().st_size

    @bentofn.api
    def raw(self, file: Annotated[Path, AfterValidator(noted)], /) -> int:
        return file.stat().st_size


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        ("/size", FORM, "multipart/form-data; boundary=a"),
        ("/raw", b"abc", "application/octet-stream"),
    ],
)
async def test_an_upload_is_copied_off_the_loop(
    open_app: OpenApp, path: str, body: bytes, media_type: str
) -> None:
    READ_ON.clear()
    async with open_app(Uploads) as client:
        answer = await client.post(path, body, headers={"content-type": media_type})
    assert (answer.status, answer.json) == (200, 3)
    assert len(READ_ON) == 1
    assert READ_ON[0] != threading.get_ident()
