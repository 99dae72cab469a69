"""Weights from safetensors files, as fast as memory and the bus allow."""

from bentofn.runtime.weights.hub import accelerate
from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.modules import load_model
from bentofn.runtime.weights.prefetch import Prefetch, prefetch
from bentofn.runtime.weights.staging import release

__all__ = [
    "Prefetch",
    "accelerate",
    "load_file",
    "load_files",
    "load_model",
    "prefetch",
    "release",
]
