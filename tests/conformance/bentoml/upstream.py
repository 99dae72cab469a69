"""The server that the cases with a command run: it tells what it was asked.

python upstream.py PORT
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEALTH: list[str] = []
"""Paths at which the health was asked for."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.body()
        if self.path in ("/health", "/livez", "/readyz", "/v1/livez", "/v1/readyz"):
            HEALTH.append(self.path)
            self.reply(200, "well")
        elif self.path in ("/asked", "/v1/asked"):
            self.reply(200, sorted(set(HEALTH)))
        elif self.path == "/teapot":
            self.reply(418, "short and stout")
        elif self.path == "/end":
            os._exit(3)
        else:
            given = self.headers.get("X-Given")
            text = body.decode(errors="replace")
            shown = {"method": self.command, "path": self.path, "body": text, "x": given}
            self.reply(200, shown)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815
    do_HEAD = do_OPTIONS = do_TRACE = do_QUERY = answer  # noqa: N815

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-From-Service", "upstream")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def end_with(parent: int) -> None:
    """End this process when its parent has ended, however that ended."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
