import torch

import bentofn


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Linear(64, 256)
        self.b = torch.nn.Linear(256, 64)
        self.n = torch.nn.LayerNorm(64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.n(x + self.b(torch.nn.functional.gelu(self.a(x)))).softmax(-1)


@bentofn.service(resources={"cpu": "2"})
class Compiled:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.compile(Net().eval())

    @bentofn.api(examples=[{"rows": 4}])
    def run(self, rows: int) -> float:
        with torch.inference_mode():
            return round(float(self.net(torch.ones(rows, 64)).sum()), 3)
