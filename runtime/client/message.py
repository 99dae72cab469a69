"""The request of a call: what goes into its body, by the endpoint's schema."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, Any

from bentofn.runtime.client.arrays import body_of
from bentofn.runtime.client.endpoint import Endpoint
from bentofn.runtime.client.plain import as_json

JSON = "application/json"
_PLAIN_TEXT = "text/plain"


@dataclass(frozen=True)
class Upload:
    """A file that is sent.

    Args:
        name: Its name, without folders.
        file: Its content.
        media_type: What it is, if its name says so.
    """

    name: str
    file: IO[bytes] | bytes
    media_type: str | None


@dataclass(frozen=True)
class Message:
    """A request body: a content of its own, or a form.

    Args:
        content: The body; None for a form, or for no body at all.
        media_type: What the content is.
        fields: The form's texts.
        files: The form's files, a name each.
    """

    content: bytes | IO[bytes] | None = None
    media_type: str | None = None
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Sequence[tuple[str, Upload]] = ()


def compose(
    endpoint: Endpoint, args: Sequence[Any], kwargs: Mapping[str, Any], opened: ExitStack
) -> Message:
    """Make the request of a call.

    Args:
        endpoint: Which is called.
        args: Positional arguments.
        kwargs: Named ones.
        opened: Closes the files that are opened here, once the request is sent.

    Raises:
        TypeError: The endpoint takes other arguments, or one cannot be written as JSON.
        OSError: A file that is to be sent cannot be read.
    """
    if endpoint.is_root:
        if len(args) > 1 or kwargs:
            raise TypeError(f"{endpoint.name} takes one positional argument, the request's body.")
        if not args:
            return Message()
        arrays = body_of({"root": args[0]}, {"root": endpoint.input}, endpoint.takes)
        return Message(*arrays) if arrays else _root(endpoint.input, args[0], opened)
    values = _named(endpoint, args, kwargs)
    if any(map(_takes_files, endpoint.parameters.values())):
        return _form(endpoint.parameters, values, opened)
    arrays = body_of(values, endpoint.parameters, endpoint.takes)
    return Message(*(arrays or (as_json(values, {"properties": endpoint.parameters}), JSON)))


def _named(endpoint: Endpoint, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    known = list(endpoint.parameters)
    if len(args) > len(known):
        raise TypeError(
            f"{endpoint.name} takes {len(known)} positional arguments, but {len(args)} were given."
        )
    values = dict(zip(known, args, strict=False))
    if twice := sorted(values.keys() & kwargs.keys()):
        raise TypeError(f"{endpoint.name} got several values for {', '.join(twice)}.")
    values |= kwargs
    if unknown := sorted(values.keys() - set(known)):
        raise TypeError(
            f"Arguments not found in endpoint {endpoint.name}: {', '.join(unknown)}; it takes "
            f"{', '.join(known) or 'none'}."
        )
    missing = [name for name in endpoint.input.get("required", ()) if name not in values]
    if missing:
        raise TypeError(
            f"Missing required arguments in endpoint {endpoint.name}: {', '.join(missing)}."
        )
    return values


def _root(schema: Mapping[str, Any], value: Any, opened: ExitStack) -> Message:
    properties = schema.get("properties", {})
    if any(map(_takes_files, properties.values())):
        fields = value if isinstance(value, Mapping) else dict(value)
        return _form(properties, fields, opened)
    if schema.get("type") == "file":
        upload = _upload(value, opened)
        if isinstance(upload, str):
            return Message(upload.encode(), _PLAIN_TEXT)
        return Message(upload.file, upload.media_type or "application/octet-stream")
    if isinstance(value, bytes):
        return Message(value, _PLAIN_TEXT)
    if isinstance(value, str) and _is_raw_text(schema):
        return Message(value.encode(), _PLAIN_TEXT)
    return Message(as_json(value, schema), JSON)


def _is_raw_text(schema: Mapping[str, Any]) -> bool:
    """Whether a text is the body as it is; of other types that are texts in JSON it is JSON."""
    other = schema.get("format") not in (None, "binary") or "enum" in schema or "const" in schema
    return schema.get("type") == "string" and not other


def _takes_files(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "file" or (
        schema.get("type") == "array" and schema.get("items", {}).get("type") == "file"
    )


def _form(
    parameters: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], opened: ExitStack
) -> Message:
    fields: dict[str, list[str]] = {}
    files: list[tuple[str, Upload]] = []
    for name, value in values.items():
        schema = parameters.get(name, {})
        if not _takes_files(schema):
            fields[name] = [as_json(value, schema).decode()]
            continue
        # A file that is left out is no part of the form.
        several = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
        for each in several:
            upload = _upload(each, opened)
            if isinstance(upload, str):
                fields.setdefault(name, []).append(upload)
            else:
                files.append((name, upload))
    return Message(fields=fields, files=files)


def _upload(value: Any, opened: ExitStack) -> Upload | str:
    """A file to send, or the URL that stands for one."""
    if isinstance(value, str):
        if value.startswith(("http://", "https://")):
            return value
        value = PurePath(value)
    if isinstance(value, PurePath):
        file = opened.enter_context(_open(Path(value)))
        return Upload(value.name, file, mimetypes.guess_type(value.name)[0])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Upload("upload-file", bytes(value), None)
    if hasattr(value, "save") and hasattr(value, "tobytes"):
        return _image(value)
    if hasattr(value, "read"):
        name = PurePath(str(getattr(value, "name", "upload-file"))).name
        return Upload(name, value, mimetypes.guess_type(name)[0])
    raise TypeError(
        f"A {type(value).__name__} cannot be sent as a file; give a path, bytes, an image or an "
        "open file."
    )


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _image(image: Any) -> Upload:
    """An image as it was saved, while it is still unread, else encoded anew."""
    source = getattr(image, "fp", None)
    form = image.format or "PNG"
    if source is not None and image.format and source.seekable():
        source.seek(0)
        name = getattr(source, "name", None) or f"upload-image.{form.lower()}"
        return Upload(PurePath(str(name)).name, source.read(), f"image/{form.lower()}")
    from bentofn.runtime.io.image import encode

    content, media_type = encode(image)
    return Upload(f"upload-image.{form.lower()}", content, media_type)
