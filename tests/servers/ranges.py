"""A web server of one file in ranges; a test says what else it does."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Answer:
    """To one request, before it is sent.

    Args:
        status: Of HTTP.
        headers: All of them.
        body: What follows; need not be as long as the headers say.
        then: Called before the body is sent, once the headers are.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    then: Callable[[], object] = field(default=lambda: None)


class RangeServer:
    """It answers every path with the file.

    Args:
        body: The file.
        certificate: With its key, for TLS.
    """

    def __init__(self, body: bytes, certificate: Path | None = None) -> None:
        self.body = body
        self.tag: str | None = '"1"'
        self.asked: list[Mapping[str, str]] = []
        """Headers of the requests."""
        self.paths: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.before: Callable[[int], object] = lambda number: None
        """Called with each request's number, from 0."""
        self.change: Callable[[int, Answer], object] = lambda number, answer: None
        """Called then, with what will be answered."""
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                number = len(web.asked)
                web.asked.append(dict(self.headers.items()))
                web.paths.append(self.path)
                web.connections.add(self.client_address)
                web.before(number)
                answer = web.answer(self.headers["Range"], self.headers["If-Match"])
                web.change(number, answer)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                answer.then()
                self.wfile.write(answer.body)
                length = answer.headers.get("Content-Length", len(answer.body))
                self.close_connection = int(length) > len(answer.body)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that has what it wants, or gives up, hangs up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/x.safetensors"

    def answer(self, asked: str, tag: str | None) -> Answer:
        """What a server should."""
        if tag not in (None, self.tag):
            return Answer(412, {})
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        body = self.body[first : last + 1]
        headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(self.body)}"}
        return Answer(206, headers | ({"ETag": self.tag} if self.tag else {}), body)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
