"""Makes the weights: a seeded transformer, taught the Zen of Python letter by letter.

python make_weights.py weights
bentofn models import weights --name tiny-llm
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import io
from pathlib import Path

import torch
import torch.nn.functional as F
from transformer import Config, Transformer


def zen() -> str:
    """The text that `import this` prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def train(steps: int, length: int = 96, batch: int = 8) -> Transformer:
    """A model that has seen `batch` pieces of the text in each of `steps` steps."""
    torch.manual_seed(20)
    model = Transformer(Config())
    torch.nn.init.normal_(model.embed_tokens.weight, std=0.05)
    text = torch.tensor(list((zen() + "\n\0").encode("ascii")))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(1, steps + 1):
        starts = torch.randint(len(text) - length - 1, (batch, 1))
        pieces = text[starts + torch.arange(length + 1)]
        logits, _ = model(pieces[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), pieces[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.2f}")
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    train(arguments.steps).save(arguments.folder)
