"""What takes Starlette: reading forms, and files as answers.

Its import takes a third of the application's, so that a plain start does it only for a service that
takes or returns files, or when a form comes.
"""

from __future__ import annotations

import inspect
import mimetypes
from pathlib import Path

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse

from bentofn.runtime.errors import BadInput
from bentofn.runtime.http.exchange import ClientLeftError, Exchange, Header

_MAX_FIELD_BYTES = 64 * 1024 * 1024
# Starlette before 0.44, which projects pin, has a limit of its own or none.
_LIMITS = (
    {"max_part_size": _MAX_FIELD_BYTES}
    if "max_part_size" in inspect.signature(Request.form).parameters
    else {}
)


async def read_form(request: Request) -> FormData:
    """Read a multipart or urlencoded form.

    Raises:
        BadInput: It is none.
        ClientLeftError: The client left before the end of it.
    """
    try:
        return await request.form(**_LIMITS)
    except ClientDisconnect as error:
        raise ClientLeftError from error
    except MultiPartException as error:
        raise BadInput(f"The form cannot be read: {error.message}") from error
    except ValueError as error:  # python-multipart's own
        raise BadInput(f"The form cannot be read: {error}") from error


async def send_file(
    exchange: Exchange, path: Path, status: int, media_type: str | None, headers: list[Header]
) -> None:
    """Send a file as a response.

    Args:
        exchange: The request.
        path: The file.
        status: HTTP status.
        media_type: The file's, where its name does not say.
        headers: Further headers.
    """
    media_type = media_type or mimetypes.guess_type(path)[0] or "application/octet-stream"
    shown = "inline" if media_type.startswith("image/") else "attachment"
    response = FileResponse(
        path,
        status_code=status,
        media_type=media_type,
        filename=path.name,
        content_disposition_type=shown,
    )
    response.raw_headers.extend(headers)
    await response(exchange.scope, exchange.receive, exchange.send)
