"""W3 with mosec."""

from typing import Any

from mosec import Server, Worker


class Echo(Worker):
    def forward(self, data: dict[str, Any]) -> Any:
        return data["document"]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Echo)
    server.run()
