"""A limit on the head of a request: httptools has none, and keeps all of it in memory."""

from __future__ import annotations

from typing import Any

import uvicorn
from pydantic_core import to_json

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers; the number of h11, uvicorn's other parser."""

_SENTENCE = f"The request's line and headers are larger than {MAX_HEAD} bytes; send less of them."
_BODY = to_json({"error": _SENTENCE})
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_BODY), _BODY)
)
_SEPARATORS = 4  # a colon, a space and a line's end


def limit_heads(config: uvicorn.Config) -> None:
    """Have a server that reads with httptools answer 431 where a head is too large."""
    # Any: uvicorn gives the class of the HTTP implementation no common type.
    served: Any = config.http_protocol_class

    class Limited(served):  # type: ignore[misc]
        _in_head = False
        _now = 0
        # A head begins somewhere in a read: it has so many bytes at least, and at most.
        _least = _most = 0
        _too_large = False

        def data_received(self, data: bytes) -> None:
            self._now = len(data)
            if self._in_head:
                self._least += self._now
                self._most += self._now
            super().data_received(data)
            if self._in_head and self._least > MAX_HEAD:
                self._too_large = True
                self.send_400_response("")

        def on_message_begin(self) -> None:
            self._in_head, self._least, self._most = True, 0, self._now
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            if self._most > MAX_HEAD and self._head_size() > MAX_HEAD:
                self._too_large = True
                raise ValueError(_SENTENCE)  # which ends the parser, and is then answered
            super().on_headers_complete()

        def _head_size(self) -> int:
            fields = sum(len(name) + len(value) + _SEPARATORS for name, value in self.headers)
            return len(self.url) + fields

        def send_400_response(self, msg: str) -> None:
            if self._too_large:
                self.transport.write(_REFUSAL)
                self.transport.close()
            else:
                super().send_400_response(msg)

    config.http_protocol_class = Limited
