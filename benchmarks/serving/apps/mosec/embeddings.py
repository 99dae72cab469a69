"""W2 with mosec."""

from typing import Any

from _batching import BATCH, WAIT, FastJSON
from model import embeddings
from mosec import Server, Worker


class Embed(FastJSON, Worker):
    def __init__(self) -> None:
        self.encoder = embeddings()

    def forward(self, data: Any) -> Any:
        if BATCH == 1:
            return self.encoder.encode([data["text"]])[0].tolist()
        return self.encoder.encode([each["text"] for each in data]).tolist()


if __name__ == "__main__":
    server = Server()
    server.append_worker(Embed, max_batch_size=BATCH, max_wait_time=WAIT)
    server.run()
