"""Gradio's applications below a path of a service."""

from bentofn.runtime.gradio import mount_gradio_app

__all__ = ["mount_gradio_app"]
