"""Sizes as people read them."""

from __future__ import annotations


def human_size(size: int) -> str:
    """Bytes as kB, MB or GB (powers of ten, as registries count)."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
