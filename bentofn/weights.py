"""Weights from safetensors files, as fast as memory and the bus allow."""

from bentofn.runtime.weights.loading import load_file, load_files
from bentofn.runtime.weights.modules import load_model

__all__ = ["load_file", "load_files", "load_model"]
