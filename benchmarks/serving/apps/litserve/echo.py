"""W3 with LitServe."""

from typing import Any

import litserve as ls
from _run import run


class Echo(ls.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def predict(self, request: Any) -> Any:
        return request["document"]


if __name__ == "__main__":
    run(Echo(api_path="/echo"))
