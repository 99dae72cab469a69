"""W2 with LitServe."""

from typing import Any

import litserve as ls
from _run import BATCH, batching, run
from model import embeddings


class Embed(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.encoder = embeddings()

    def decode_request(self, request):  # its annotation would be FastAPI's
        return request["text"]

    def batch(self, inputs: Any) -> Any:
        return inputs

    def predict(self, texts: Any) -> Any:
        return self.encoder.encode(texts if BATCH > 1 else [texts])

    def unbatch(self, output: Any) -> Any:
        return output.tolist()

    def encode_response(self, output: Any) -> Any:
        return output if BATCH > 1 else output[0].tolist()


if __name__ == "__main__":
    run(Embed(api_path="/embed", **batching()))
