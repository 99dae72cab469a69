"""From a new process to the first answer: ``from_pretrained``, and our loader."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from table import Row, ratios

from gpu.setup import Setup, bring_in

START = Path(__file__).with_name("pretrained_start.py")
HOWS = {
    "from_pretrained": "transformers",
    "hook": "bentofn.weights.accelerate",
    "load": "bentofn.weights.load_files",
}

TIMEOUT = 60.0
"""Seconds of one start."""


def rows(setup: Setup) -> Iterator[Row]:
    """Seconds of each way, in turn; all must give the same logits."""
    if not importlib.util.find_spec("transformers"):
        print("pretrained: transformers is not installed, nothing is measured", flush=True)
        return
    folder = _model(setup)
    samples: dict[str, list[float]] = {how: [] for how in HOWS}
    answers: list[dict[str, Any]] = []
    failures: dict[str, SystemExit] = {}
    for _ in range(1 if setup.is_fake else 3):
        for how, seconds in samples.items():
            if how in failures:
                continue
            for file in folder.glob("*.safetensors"):
                bring_in(file)
            try:
                took, answer = _start(how, folder, setup.device)
            except SystemExit as error:  # the other ways are measured still
                failures[how] = error
                continue
            seconds.append(took)
            answers.append(answer)
    shutil.rmtree(folder)  # what comes after needs the disk
    if any(not _same(answer, answers[0]) for answer in answers):
        raise SystemExit(f"The ways to load the model give different answers: {answers}")
    case = "new process to first answer"
    for how in (how for how in HOWS if how not in failures):
        yield Row(case, HOWS[how], "wall", "s", samples[how])
    if failures:
        raise SystemExit("\n".join(map(str, failures.values())))
    sooner = ratios(samples["from_pretrained"], samples["load"])
    yield Row(f"{case}: from_pretrained against", HOWS["load"], "times", "x", sooner, ">= 4.0")


def _model(setup: Setup) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    large = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 18}
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 32 if not setup.is_fake else 4, "num_key_value_heads": 4}
    config = LlamaConfig(vocab_size=32000, **(small if setup.is_fake else large), **heads)
    folder = setup.folder / "pretrained"
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with setup.device:
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    del model
    if setup.device.type == "cuda":
        torch.cuda.empty_cache()
    return folder


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the weights are the same and the logits nearly so: what is in no file, transformers
    may compute on the CPU, to another last bit."""
    logits, others = torch.tensor(one["logits"]), torch.tensor(other["logits"])
    near = torch.allclose(logits, others, rtol=0.0, atol=0.05 * float(others.abs().max()))
    return one["weights"] == other["weights"] and near


def _start(how: str, folder: Path, device: torch.device) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, str(START), how, str(folder), str(device)]
    began = time.monotonic()
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{how} took more than {TIMEOUT:g} s.") from None
    if run.returncode:
        raise SystemExit(f"{how} failed: {run.stderr[-2000:]}")
    told = json.loads(run.stdout.splitlines()[-1])
    return told["at"] - began, told
