"""The models that a service uses."""

from bentofn.runtime.models import BentoModel, HuggingFaceModel, Model, get

__all__ = ["BentoModel", "HuggingFaceModel", "Model", "get"]
