"""W3 with mosec."""

from typing import Any

from _batching import FastJSON
from mosec import Server, Worker


class Echo(FastJSON, Worker):
    def forward(self, data: dict[str, Any]) -> Any:
        return data["document"]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Echo)
    server.run()
