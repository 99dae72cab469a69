"""Paths out of file URLs."""

from __future__ import annotations


def uri_to_path(uri: str) -> str:
    """The path that a ``file:`` URL names.

    Raises:
        ValueError: It is no file URL.
    """
    import posixpath
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri)
    if parts.scheme not in ("file", "filesystem", "unix"):
        raise ValueError(f"{uri} is no file URL")
    return posixpath.normpath(unquote(parts.path))
