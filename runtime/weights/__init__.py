"""Weights from safetensors files into memory and onto devices."""
