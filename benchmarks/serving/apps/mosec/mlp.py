"""W1 with mosec."""

from typing import Any

from _batching import BATCH, WAIT, FastJSON
from model import MLP
from mosec import Server, Worker


class Predict(FastJSON, Worker):
    def __init__(self) -> None:
        self.model = MLP()

    def forward(self, data: Any) -> Any:
        if BATCH == 1:
            return self.model.predict([data["row"]])[0].tolist()
        return self.model.predict([each["row"] for each in data]).tolist()


if __name__ == "__main__":
    server = Server()
    server.append_worker(Predict, max_batch_size=BATCH, max_wait_time=WAIT)
    server.run()
