"""The loaders that are compared, each as its own documentation calls it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Loader = Callable[[Path, torch.device], dict[str, torch.Tensor]]

DISTRIBUTIONS = ("safetensors", "fastsafetensors", "runai-model-streamer", "instanttensor")


def peers(device: torch.device) -> Mapping[str, Loader]:
    """Name to loader, of those that are installed and load onto such a device."""
    found: dict[str, Loader] = {"safetensors": safetensors}
    if importlib.util.find_spec("fastsafetensors"):
        found["fastsafetensors"] = fastsafetensors
    if importlib.util.find_spec("runai_model_streamer"):
        found["Run:ai streamer"] = runai
    if importlib.util.find_spec("instanttensor") and device.type == "cuda":
        found["InstantTensor"] = instanttensor
        found["InstantTensor, buffered"] = instanttensor_buffered
    return found


def safetensors(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """Its ``load_file``."""
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = load_file(file, device=str(device))
    return found


def fastsafetensors(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """Without GPUDirect Storage, which a virtual disk has not."""
    from fastsafetensors import fastsafe_open

    with fastsafe_open([str(file)], device=str(device), nogds=True) as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def runai(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """Its tensors are the caller's to keep."""
    os.environ.setdefault("RUNAI_STREAMER_LOG_LEVEL", "ERROR")
    from runai_model_streamer import SafetensorsStreamer

    with SafetensorsStreamer() as streamer:
        streamer.stream_file(str(file), device=str(device))
        return dict(streamer.get_tensors())


def instanttensor(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """As it comes: past the page cache."""
    from instanttensor import safe_open

    with safe_open([str(file)], framework="pt", device=device) as opened:
        return dict(opened.tensors())


def instanttensor_buffered(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """Through the page cache, which it advises for a file that is loaded often."""
    from instanttensor import BackendPolicy, safe_open

    with safe_open(
        [str(file)], framework="pt", device=device, backend=BackendPolicy.BUFFERED
    ) as opened:
        return dict(opened.tensors())
