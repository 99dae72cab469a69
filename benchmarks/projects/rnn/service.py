"""Text generation, character by character, with a recurrent network."""

from __future__ import annotations

import string

import torch
from safetensors.torch import load_file
from torch import nn

import bentofn
from bentofn.models import BentoModel

ALPHABET = string.ascii_lowercase + " "
WIDTH = 256


class Generator(nn.Module):
    """Embedding, a recurrent cell, and a linear layer back to the alphabet."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), WIDTH)
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, len(ALPHABET))

    def forward(self, start: str, length: int) -> str:
        hidden = torch.zeros(1, WIDTH)
        text = start
        for step in range(len(start) + length - 1):
            index = torch.tensor([ALPHABET.index(text[step])])
            hidden = self.cell(self.embedding(index), hidden)
            if step >= len(start) - 1:
                text += ALPHABET[int(self.output(hidden).argmax())]
        return text


@bentofn.service(name="bench-rnn", resources={"cpu": "1"})
class RNN:
    """The start of a name in, the whole name out."""

    model = BentoModel("bench-rnn:latest")

    def __init__(self) -> None:
        self.generator = Generator().eval()
        self.generator.load_state_dict(load_file(self.model.path / "model.safetensors"))

    @bentofn.api(examples=[{"start": "ab"}])
    def generate(self, start: str) -> str:
        """The start and twelve likely letters after it."""
        with torch.inference_mode():
            return self.generator(start, 12)
