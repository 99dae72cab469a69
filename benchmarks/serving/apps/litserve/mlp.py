"""W1 with LitServe."""

from typing import Any

import litserve as ls
from _run import BATCH, batching, run
from model import MLP


class Predict(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.model = MLP()

    def decode_request(self, request):  # its annotation would be FastAPI's
        return request["row"]

    def batch(self, inputs: Any) -> Any:
        return inputs

    def predict(self, rows: Any) -> Any:
        return self.model.predict(rows if BATCH > 1 else [rows])

    def unbatch(self, output: Any) -> Any:
        return output.tolist()

    def encode_response(self, output: Any) -> Any:
        return output if BATCH > 1 else output[0].tolist()


if __name__ == "__main__":
    run(Predict(api_path="/predict", **batching()))
